//! The tables of `docs/performance.md`.

use super::load::Run;

/// How often each row of a table is measured; rows alternate.
pub(crate) const ROUNDS: usize = 3;

/// One line of a table.
pub(crate) struct Row<'a> {
    name: String,
    measure: Box<dyn FnMut() -> Run + 'a>,
    against: Option<Against>,
}

/// Which earlier row it is compared with, by what.
#[derive(Clone, Copy)]
enum Against {
    PerCpuSecond(usize),
    PerSecond(usize),
}

impl<'a> Row<'a> {
    pub(crate) fn new(name: impl Into<String>, measure: impl FnMut() -> Run + 'a) -> Self {
        Self { name: name.into(), measure: Box::new(measure), against: None }
    }

    /// Compared with another row by work per CPU-second.
    pub(crate) fn per_cpu(self, row: usize) -> Self {
        Self { against: Some(Against::PerCpuSecond(row)), ..self }
    }

    /// Compared with another row by work per second.
    pub(crate) fn per_second(self, row: usize) -> Self {
        Self { against: Some(Against::PerSecond(row)), ..self }
    }
}

/// Prints tables and remembers whether any row is void.
#[derive(Default)]
pub(crate) struct Report {
    is_void: bool,
}

impl Report {
    /// Measures the rows in turns and prints the median of each.
    pub(crate) fn table(&mut self, title: &str, mut rows: Vec<Row<'_>>) {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); rows.len()];
        for _ in 0..ROUNDS {
            for (row, runs) in rows.iter_mut().zip(&mut runs) {
                runs.push((row.measure)());
            }
        }
        println!("\n## {title}\n");
        println!("| row | per CPU-second | range | µs of CPU | per second | ratio | wrong |");
        println!("|---|---|---|---|---|---|---|");
        for (row, own) in rows.iter().zip(&runs) {
            let by_cpu = |at: usize| median(&runs[at], Run::per_cpu_second);
            let by_wall = |at: usize| median(&runs[at], Run::per_second);
            let (cpu, wall) = (median(own, Run::per_cpu_second), median(own, Run::per_second));
            let ratio = match row.against {
                None => String::new(),
                Some(Against::PerCpuSecond(at)) => {
                    format!("{:.0} % of {}, CPU", 100.0 * cpu / by_cpu(at), rows[at].name)
                }
                Some(Against::PerSecond(at)) => {
                    format!("{:.0} % of {}, rate", 100.0 * wall / by_wall(at), rows[at].name)
                }
            };
            let wrong: u64 = own.iter().map(|run| run.wrong).sum();
            self.is_void |= 0 < wrong;
            println!(
                "| {} | {cpu:.0} | {:.0}–{:.0} | {:.2} | {wall:.0} | {ratio} | {wrong} |",
                row.name,
                own.iter().map(Run::per_cpu_second).fold(f64::INFINITY, f64::min),
                own.iter().map(Run::per_cpu_second).fold(0.0, f64::max),
                1e6 / cpu,
            );
        }
    }

    /// Prints what an idle connection takes between each two counts of them.
    pub(crate) fn memory<const N: usize>(name: &str, counts: [usize; N], kib: [u64; N]) {
        println!("\n## Resident memory of an idle connection, {name}\n");
        println!("| connections | KiB in all | KiB each since the row before |");
        println!("|---|---|---|");
        let mut before: Option<(usize, u64)> = None;
        for (count, total) in counts.into_iter().zip(kib) {
            let each = before.map_or_else(String::new, |(fewer, less)| {
                format!("{:.2}", (total as f64 - less as f64) / (count - fewer) as f64)
            });
            println!("| {count} | {total} | {each} |");
            before = Some((count, total));
        }
    }

    pub(crate) fn finish(&self) {
        assert!(!self.is_void, "a row with wrong answers is void");
    }
}

fn median(runs: &[Run], value: fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
