//! The table of `docs/performance.md`.

use super::load::Run;

/// Rows as they come.
pub(crate) struct Report {
    void: bool,
}

impl Report {
    pub(crate) fn start() -> Self {
        println!("| row | per CPU-second | per second | µs of CPU each | ratio | wrong |");
        println!("|---|---|---|---|---|---|");
        Self { void: false }
    }

    /// Prints a row, compared per CPU-second; returns that rate.
    pub(crate) fn row(&mut self, name: &str, run: &Run, against: Option<(&str, f64)>) -> f64 {
        let rate = run.per_cpu_second();
        let ratio = against
            .map(|(peer, other)| format!("{:.0} % of {peer}", 100.0 * rate / other))
            .unwrap_or_default();
        self.print(name, run, &ratio);
        rate
    }

    /// Prints a row, compared by wall-clock rate.
    pub(crate) fn row_by_wall(&mut self, name: &str, run: &Run, against: (&str, f64)) {
        let (peer, other) = against;
        let ratio = format!("{:.0} % of {peer}", 100.0 * run.per_second() / other);
        self.print(name, run, &ratio);
    }

    /// Prints what an idle connection takes, between two numbers of them.
    pub(crate) fn memory(&self, first_kib: u64, second_kib: u64, count: usize) {
        let each = (second_kib as f64 - first_kib as f64) / (count as f64 - 1000.0);
        println!("\nidle connection, resident, 1,000 to {count}: {each:.2} KiB");
    }

    pub(crate) fn finish(&self) {
        assert!(!self.void, "a row with wrong answers is void");
    }

    fn print(&mut self, name: &str, run: &Run, ratio: &str) {
        self.void |= 0 < run.wrong;
        println!(
            "| {name} | {:.0} | {:.0} | {:.2} | {ratio} | {} |",
            run.per_cpu_second(),
            run.per_second(),
            1e6 / run.per_cpu_second(),
            run.wrong
        );
    }
}
