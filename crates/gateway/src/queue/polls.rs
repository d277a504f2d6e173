//! Which queues are being read.

use api_model::Span;
use api_model::api::QueueSource;
use tokio_util::sync::CancellationToken;

use crate::settings::Integrations;

/// The queues that are read now. A reload keeps those that it does not change: whoever gives up
/// a poll loses the messages that come to it, for as long as they are invisible.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    running: Vec<Running>,
    is_closed: bool,
}

#[derive(Debug)]
struct Running {
    source: QueueSource,
    integrations: Integrations,
    stop: CancellationToken,
}

impl Polls {
    /// Ends the polls of all queues but these, and gives those of them that are not read yet,
    /// each with what will end it.
    pub(crate) fn replace(
        &mut self,
        sources: &[QueueSource],
        integrations: &Integrations,
    ) -> Vec<(QueueSource, CancellationToken)> {
        // Where a mapping stands in its template does not matter.
        let mut wanted: Vec<QueueSource> = (sources.iter().filter(|_| !self.is_closed))
            .map(|source| QueueSource { span: Span::default(), ..source.clone() })
            .collect();
        self.running.retain(|one| {
            let found = wanted.iter().position(|source| *source == one.source);
            let found = found.filter(|_| one.integrations == *integrations);
            match found {
                Some(index) => drop(wanted.swap_remove(index)),
                None => one.stop.cancel(),
            }
            found.is_some()
        });
        let start = |source: QueueSource| {
            let stop = CancellationToken::new();
            let (integrations, running) = (integrations.clone(), source.clone());
            self.running.push(Running { source: running, integrations, stop: stop.clone() });
            (source, stop)
        };
        wanted.into_iter().map(start).collect()
    }

    /// Ends all polls; none starts any more.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.replace(&[], &Integrations::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(queue: &str, line: u32) -> QueueSource {
        let place = api_model::Position { line, column: 1 };
        QueueSource {
            logical_id: "Mapping".to_owned(),
            span: Span { file: 0, start: place, end: place },
            queue_arn: format!("arn:aws:sqs:eu-west-1:000000000000:{queue}"),
            function_arn: "arn:aws:lambda:eu-west-1:000000000000:function:f".to_owned(),
            batch_size: 3,
            reports_failures: false,
        }
    }

    fn names(started: &[(QueueSource, CancellationToken)]) -> Vec<&str> {
        started.iter().map(|(source, _)| source.queue_arn.rsplit(':').next().unwrap()).collect()
    }

    #[test]
    fn a_reload_keeps_the_polls_that_it_does_not_change() {
        let (mut polls, here) = (Polls::default(), Integrations::default());
        let first = polls.replace(&[source("a", 1), source("b", 2)], &here);
        assert_eq!(names(&first).len(), 2);
        let second = polls.replace(&[source("c", 1), source("a", 9)], &here);
        assert_eq!(names(&second), ["c"]);
        for (source, stop) in &first {
            assert_eq!(stop.is_cancelled(), source.queue_arn.ends_with(":b"), "{source:?}");
        }
        assert!(polls.replace(&[source("a", 1), source("c", 1)], &here).is_empty());
    }

    #[test]
    fn queues_elsewhere_are_read_anew() {
        let (mut polls, here) = (Polls::default(), Integrations::default());
        let first = polls.replace(&[source("a", 1)], &here);
        let there = Integrations { is_ambient: true, ..here };
        assert_eq!(names(&polls.replace(&[source("a", 1)], &there)), ["a"]);
        assert!(first[0].1.is_cancelled());
    }

    #[test]
    fn nothing_is_read_after_the_end() {
        let (mut polls, here) = (Polls::default(), Integrations::default());
        let first = polls.replace(&[source("a", 1)], &here);
        polls.close();
        assert!(first[0].1.is_cancelled());
        assert!(polls.replace(&[source("a", 1)], &here).is_empty());
    }
}
