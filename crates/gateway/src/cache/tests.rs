use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::time::advance;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn key(number: u64) -> Key {
    Fingerprint::new("test").number(number).finish()
}

fn grant(value: &str, ttl: Duration) -> Outcome<String> {
    Outcome::Grant { value: value.into(), bytes: 100, ttl, tag: "user".into() }
}

fn denial(value: &str, ttl: Duration) -> Outcome<String> {
    Outcome::Denial { value: value.into(), bytes: 100, ttl }
}

type VerdictsOfText = VerdictCache<String>;

#[track_caller]
fn check(answer: Result<Answer<String>, Shed>, value: &str, how: How) {
    let answer = answer.unwrap();
    assert_eq!((answer.value.as_str(), answer.how), (value, how));
}

async fn ask(cache: &VerdictsOfText, number: u64, outcome: Outcome<String>) -> (String, How) {
    let answer = cache.get_or_ask(key(number), async { outcome }).await.unwrap();
    (answer.value, answer.how)
}

#[track_caller]
fn expect(got: (String, How), value: &str, how: How) {
    assert_eq!((got.0.as_str(), got.1), (value, how));
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_reused_until_its_time_is_over() {
    let cache = VerdictCache::new(1 << 20);
    expect(ask(&cache, 1, grant("a", MINUTE)).await, "a", How::Asked);
    advance(MINUTE - Duration::from_millis(1)).await;
    expect(ask(&cache, 1, grant("b", MINUTE)).await, "a", How::Hit);
    expect(ask(&cache, 2, grant("c", MINUTE)).await, "c", How::Asked);
    advance(Duration::from_millis(1)).await;
    expect(ask(&cache, 1, grant("b", MINUTE)).await, "b", How::Asked);
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_reused_for_ten_seconds_at_most() {
    let cache = VerdictCache::new(1 << 20);
    expect(ask(&cache, 1, denial("no", MINUTE)).await, "no", How::Asked);
    advance(Duration::from_secs(9)).await;
    expect(ask(&cache, 1, grant("yes", MINUTE)).await, "no", How::Hit);
    advance(Duration::from_secs(1)).await;
    expect(ask(&cache, 1, grant("yes", MINUTE)).await, "yes", How::Asked);
    expect(ask(&cache, 1, denial("no", MINUTE)).await, "yes", How::Hit);
}

#[tokio::test(start_paused = true)]
async fn no_life_is_longer_than_an_hour() {
    let cache = VerdictCache::new(1 << 20);
    ask(&cache, 1, grant("a", Duration::MAX)).await;
    advance(TTL_MAX).await;
    expect(ask(&cache, 1, grant("b", MINUTE)).await, "b", How::Asked);
}

#[tokio::test]
async fn errors_and_lives_of_zero_are_not_stored() {
    let cache = VerdictCache::new(1 << 20);
    for outcome in [Outcome::Uncached("x".into()), grant("x", Duration::ZERO)] {
        expect(ask(&cache, 1, outcome).await, "x", How::Asked);
    }
    let none = VerdictCache::new(0);
    ask(&none, 1, grant("a", MINUTE)).await;
    none.grants.run_pending_tasks().await;
    expect(ask(&none, 1, grant("b", MINUTE)).await, "b", How::Asked);
}

#[tokio::test]
async fn many_callers_of_one_key_ask_once() {
    for outcome in [grant("one", MINUTE), denial("one", MINUTE), Outcome::Uncached("one".into())] {
        let cache = Arc::new(VerdictCache::new(1 << 20));
        let asked = Arc::new(AtomicUsize::new(0));
        let (release, released) = oneshot::channel::<()>();
        let leader = tokio::spawn({
            let (cache, outcome) = (Arc::clone(&cache), outcome.clone());
            async move {
                let ask = async move {
                    released.await.unwrap();
                    outcome
                };
                cache.get_or_ask(key(1), ask).await
            }
        });
        tokio::task::yield_now().await;
        let followers: Vec<_> = (0..50)
            .map(|_| {
                let (cache, asked) = (Arc::clone(&cache), Arc::clone(&asked));
                tokio::spawn(async move {
                    let ask = async {
                        asked.fetch_add(1, Ordering::Relaxed);
                        grant("another", MINUTE)
                    };
                    cache.get_or_ask(key(1), ask).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        check(leader.await.unwrap(), "one", How::Asked);
        for follower in followers {
            check(follower.await.unwrap(), "one", How::Followed);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert!(cache.flights.0.lock().is_empty());
    }
}

#[tokio::test]
async fn a_leader_that_goes_away_leaves_the_question_to_the_next() {
    let cache = VerdictCache::<String>::new(1 << 20);
    let mut leader = Box::pin(cache.get_or_ask(key(1), std::future::pending()));
    assert!(poll_once(&mut leader).await.is_pending());
    let mut first = pin!(cache.get_or_ask(key(1), async { grant("first", MINUTE) }));
    let mut second = pin!(cache.get_or_ask(key(1), async { grant("second", MINUTE) }));
    assert!(poll_once(&mut first).await.is_pending());
    assert!(poll_once(&mut second).await.is_pending());
    drop(leader);
    check(first.await, "first", How::Asked);
    check(second.await, "first", How::Followed);
    assert!(cache.flights.0.lock().is_empty());
}

#[tokio::test]
async fn abandoned_questions_leave_nothing_behind() {
    let cache = VerdictCache::<String>::new(1 << 20);
    for number in 0..100 {
        let mut leader = Box::pin(cache.get_or_ask(key(number), std::future::pending()));
        assert!(poll_once(&mut leader).await.is_pending());
    }
    assert!(cache.flights.0.lock().is_empty());
}

#[tokio::test]
async fn beyond_a_thousand_followers_callers_are_shed() {
    let cache = VerdictCache::<String>::new(1 << 20);
    let mut waiting = Vec::new();
    for _ in 0..=FOLLOWERS_MAX {
        let mut caller = Box::pin(cache.get_or_ask(key(1), std::future::pending()));
        assert!(poll_once(&mut caller).await.is_pending());
        waiting.push(caller);
    }
    let shed = cache.get_or_ask(key(1), async { grant("x", MINUTE) }).await;
    assert_eq!(shed, Err(Shed));
    expect(ask(&cache, 2, grant("other", MINUTE)).await, "other", How::Asked);
    drop(waiting);
    expect(ask(&cache, 1, grant("x", MINUTE)).await, "x", How::Asked);
}

#[tokio::test]
async fn clearing_forgets_what_is_stored_and_what_is_under_way() {
    let cache = VerdictCache::new(1 << 20);
    ask(&cache, 1, grant("a", MINUTE)).await;
    ask(&cache, 2, denial("b", MINUTE)).await;
    let (release, released) = oneshot::channel::<()>();
    let mut slow = Box::pin(cache.get_or_ask(key(3), async {
        released.await.unwrap();
        grant("old", MINUTE)
    }));
    assert!(poll_once(&mut slow).await.is_pending());
    cache.clear();
    expect(ask(&cache, 1, grant("c", MINUTE)).await, "c", How::Asked);
    expect(ask(&cache, 2, grant("d", MINUTE)).await, "d", How::Asked);
    // A caller after the clearing does not wait for a question from before it.
    expect(ask(&cache, 3, grant("new", MINUTE)).await, "new", How::Asked);
    release.send(()).unwrap();
    check(slow.await, "old", How::Asked);
    expect(ask(&cache, 3, grant("e", MINUTE)).await, "new", How::Hit);
}

#[tokio::test(start_paused = true)]
async fn forgetting_a_tag_spares_the_others() {
    let cache = VerdictCache::new(1 << 20);
    let of = |tag: &str| Outcome::Grant {
        value: tag.to_owned(),
        bytes: 10,
        ttl: MINUTE,
        tag: tag.into(),
    };
    ask(&cache, 1, of("ann")).await;
    ask(&cache, 2, of("bob")).await;
    let (release, released) = oneshot::channel::<()>();
    let mut slow = Box::pin(cache.get_or_ask(key(3), async {
        released.await.unwrap();
        of("ann")
    }));
    assert!(poll_once(&mut slow).await.is_pending());
    advance(Duration::from_millis(1)).await;
    cache.forget("ann");
    release.send(()).unwrap();
    check(slow.await, "ann", How::Asked);
    advance(Duration::from_millis(1)).await;
    expect(ask(&cache, 2, denial("no", MINUTE)).await, "bob", How::Hit);
    expect(ask(&cache, 3, denial("no", MINUTE)).await, "no", How::Asked);
    expect(ask(&cache, 1, of("ann")).await, "ann", How::Asked);
    expect(ask(&cache, 1, of("ann")).await, "ann", How::Hit);
}

#[tokio::test(start_paused = true)]
async fn too_many_forgotten_tags_clear_the_cache() {
    let cache = VerdictCache::new(1 << 20);
    ask(&cache, 1, grant("a", MINUTE)).await;
    for number in 0..FORGOTTEN_MAX {
        cache.forget(&number.to_string());
    }
    expect(ask(&cache, 1, grant("b", MINUTE)).await, "a", How::Hit);
    cache.forget("one more");
    expect(ask(&cache, 1, grant("b", MINUTE)).await, "b", How::Asked);
    assert!(cache.forgotten.lock().len() <= FORGOTTEN_MAX);
}

#[tokio::test]
async fn random_credentials_do_not_evict_a_hot_verdict() {
    // Room for 100 grants and 6 denials.
    let cache = VerdictCache::new(100 * 500);
    expect(ask(&cache, 0, grant("hot", TTL_MAX)).await, "hot", How::Asked);
    for number in 1..=200_000 {
        expect(ask(&cache, number, denial("no", MINUTE)).await, "no", How::Asked);
    }
    expect(ask(&cache, 0, grant("cold", MINUTE)).await, "hot", How::Hit);
    cache.denials.run_pending_tasks().await;
    assert!(cache.denials.weighted_size() <= 100 * 500 / DENIAL_SHARE);
}

#[tokio::test]
async fn grants_used_once_do_not_evict_a_hot_verdict() {
    let cache = VerdictCache::new(100 * 500);
    let mut misses = 0;
    for number in 1..=20_000 {
        ask(&cache, number, grant("once", MINUTE)).await;
        if number % 20 == 0 {
            let (_, how) = ask(&cache, 0, grant("hot", TTL_MAX)).await;
            misses += usize::from(how == How::Asked);
        }
    }
    cache.grants.run_pending_tasks().await;
    assert!(cache.grants.weighted_size() <= 100 * 510);
    // Its first use, and those before the store had seen it often enough.
    assert!(misses <= 50, "{misses}");
}

#[test]
fn fingerprints_keep_parts_apart() {
    let of = |parts: &[&str]| {
        parts.iter().fold(Fingerprint::new("x"), |key, part| key.part(part)).finish()
    };
    assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    assert_ne!(of(&["a", "b"]), of(&["ab"]));
    assert_ne!(of(&["ab", ""]), of(&["a", "b"]));
    assert_ne!(of(&[]), of(&[""]));
    let optional = |part: Option<&str>| Fingerprint::new("x").optional(part).finish();
    assert_ne!(optional(None), optional(Some("")));
    assert_eq!(optional(Some("a")), of(&["a"]));
    assert_ne!(Fingerprint::new("x").finish(), Fingerprint::new("y").finish());
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context)))
        .await
}
