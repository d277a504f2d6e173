use super::*;

struct Nothing;

impl SecretSources for Nothing {
    fn environment(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// What the file says of renewal, and the codes of all findings.
#[track_caller]
fn check_renewal(text: &str, want: bool, codes: &[&str]) {
    let file = Some(("wsgate.toml", text));
    let (settings, findings) = Settings::parse(&mut Sources::default(), file, &[], &Nothing);
    let found: Vec<&str> = findings.list.iter().map(|finding| finding.code).collect();
    assert_eq!((settings.renewal, found.as_slice()), (want, codes), "{text}");
}

#[test]
fn renewal_is_off_unless_switched_on() {
    check_renewal("", false, &[]);
    check_renewal("[session]\n", false, &[]);
    check_renewal("[session]\nrenewal = false", false, &[]);
    check_renewal("[session]\nrenewal = true", true, &[]);
    check_renewal("compat = \"wsgate\"\n[session]\nrenewal = true", true, &[]);
}

#[test]
fn renewal_is_ignored_under_aws_with_a_warning() {
    check_renewal("compat = \"aws\"\n[session]\nrenewal = true", false, &[codes::COMPAT]);
    check_renewal("compat = \"aws\"\n[session]\nrenewal = false", false, &[]);
}

#[test]
fn renewal_is_true_or_false_and_nothing_stands_beside_it() {
    check_renewal("[session]\nrenewal = \"on\"", false, &[codes::VALUE]);
    check_renewal("[session]\nrenewal = 1", false, &[codes::VALUE]);
    check_renewal("session = true", false, &[codes::VALUE]);
    check_renewal("[session]\nend = 5", false, &[codes::UNKNOWN_KEY]);
}
