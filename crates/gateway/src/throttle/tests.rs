use std::sync::atomic::AtomicUsize;
use std::thread;

use proptest::prelude::*;

use super::*;

const fn rate(per_second: f64, burst: u32) -> Rate {
    Rate { per_second, burst }
}

fn taken(bucket: &Bucket, attempts: usize, now: Duration) -> usize {
    (0..attempts).filter(|_| bucket.take(now)).count()
}

#[test]
fn a_full_bucket_gives_its_burst_and_then_its_rate() {
    let bucket = Bucket::new(rate(10.0, 5));
    let start = Duration::from_secs(100);
    assert_eq!(taken(&bucket, 20, start), 5);
    assert_eq!(taken(&bucket, 20, start + Duration::from_millis(99)), 0);
    assert_eq!(taken(&bucket, 20, start + Duration::from_millis(100)), 1);
    assert_eq!(taken(&bucket, 20, start + Duration::from_millis(350)), 2);
    assert_eq!(taken(&bucket, 20, start + Duration::from_secs(60)), 5);
}

#[test]
fn a_bucket_is_full_at_time_zero() {
    assert_eq!(taken(&Bucket::new(rate(0.001, 3)), 9, Duration::ZERO), 3);
}

#[test]
fn no_rate_or_no_burst_refuses_all() {
    for none in [rate(0.0, 5), rate(5.0, 0), rate(-1.0, 5), rate(f64::NAN, 5)] {
        assert_eq!(taken(&Bucket::new(none), 9, Duration::from_secs(9)), 0, "{none:?}");
    }
}

#[test]
fn extreme_rates_neither_panic_nor_overflow() {
    for per_second in [f64::MIN_POSITIVE, 1e-300, 1e300, f64::INFINITY] {
        let bucket = Bucket::new(rate(per_second, u32::MAX));
        assert!(bucket.take(Duration::ZERO));
        assert!(bucket.take(Duration::from_secs(1)));
        bucket.take(Duration::MAX);
        bucket.set_rate(rate(1e300, u32::MAX), Duration::MAX);
        bucket.take(Duration::MAX);
    }
}

#[test]
fn a_clock_that_steps_back_gains_no_token() {
    let bucket = Bucket::new(rate(1.0, 2));
    assert_eq!(taken(&bucket, 9, Duration::from_secs(100)), 2);
    assert_eq!(taken(&bucket, 9, Duration::from_secs(50)), 0);
    assert_eq!(taken(&bucket, 9, Duration::from_secs(100)), 0);
    assert_eq!(taken(&bucket, 9, Duration::from_secs(101)), 1);
}

#[test]
fn a_new_rate_counts_at_once_and_forgives_nothing() {
    let now = Duration::from_secs(10);
    let bucket = Bucket::new(rate(1.0, 100));
    assert_eq!(taken(&bucket, 200, now), 100);
    bucket.set_rate(rate(1000.0, 100), now);
    assert_eq!(taken(&bucket, 200, now), 0);
    assert_eq!(taken(&bucket, 200, now + Duration::from_millis(10)), 10);
    bucket.set_rate(rate(1.0, 2), now + Duration::from_millis(10));
    assert_eq!(taken(&bucket, 9, now + Duration::from_millis(500)), 0);
    assert_eq!(taken(&bucket, 9, now + Duration::from_millis(1010)), 1);
    bucket.set_rate(rate(0.0, 2), now);
    assert_eq!(taken(&bucket, 9, now + Duration::from_secs(99)), 0);
    bucket.set_rate(rate(1.0, 7), now + Duration::from_secs(99));
    assert_eq!(taken(&bucket, 9, now + Duration::from_secs(99)), 7);
}

#[test]
fn threads_share_one_burst() {
    let bucket = Bucket::new(rate(1.0, 1000));
    let won = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                won.fetch_add(taken(&bucket, 500, Duration::from_secs(5)), Ordering::Relaxed)
            });
        }
    });
    assert_eq!(won.into_inner(), 1000);
}

proptest! {
    #[test]
    fn no_span_gets_more_than_burst_and_rate(
        per_second in 1_u32..10_000,
        burst in 1_u32..50,
        steps in prop::collection::vec(0_u64..20_000_000, 1..200),
    ) {
        let bucket = Bucket::new(rate(f64::from(per_second), burst));
        let mut now = Duration::from_secs(1);
        let mut got = 0;
        for step in &steps {
            now += Duration::from_nanos(*step);
            got += taken(&bucket, 3, now);
        }
        let span = (now - Duration::from_secs(1)).as_secs_f64();
        prop_assert!(got as f64 <= f64::from(burst) + span * f64::from(per_second) + 1.0);
    }
}
