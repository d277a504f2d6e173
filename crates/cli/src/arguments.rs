//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Serves Amazon API Gateway WebSocket APIs from their CloudFormation templates.
///
/// Data goes to standard output, talk to standard error. Exit codes: 0 success,
/// 1 failure, 2 usage, 3 a template or the configuration was rejected.
#[derive(Debug, Parser)]
#[command(name = "wsgate", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show everything at work: a page, its back end and the gateway, on this machine
    Demo(Demo),
    /// Serve the WebSocket APIs that templates define
    Serve(Serve),
    /// Make and read development tokens
    Token {
        #[command(subcommand)]
        verb: Token,
    },
    /// The local certificate authority for browsers
    Ca {
        #[command(subcommand)]
        verb: Ca,
    },
}

/// Arguments of `wsgate demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Address of the gateway; loopback only. A busy port means the next free one, 0 any; with
    /// --backend-only, where `wsgate serve` will listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Serve page and gateway over TLS, with certificates of the local CA (`wsgate ca show`)
    #[arg(long)]
    pub(crate) tls: bool,
    /// Run the back end and page alone, for use with `wsgate serve … --config demo/wsgate.toml`
    #[arg(long)]
    pub(crate) backend_only: bool,
}

/// Arguments of `wsgate serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    /// CloudFormation or SAM templates, YAML or JSON, or `cdk.out` and `.serverless` folders;
    /// several are several stacks, started in this order
    #[arg(required = true, value_name = "TEMPLATE")]
    pub(crate) templates: Vec<PathBuf>,
    /// Address to listen on, repeatable; port 0 picks one [default: port 8080 of 127.0.0.1 and of ::1]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Address of the admin listener [default: a free loopback port]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Stack name, repeatable in the order of the templates [default: the file's stem]
    #[arg(long, value_name = "NAME")]
    pub(crate) stack_name: Vec<String>,
    /// Value of a template parameter, repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) parameter: Vec<(String, String)>,
    /// `AWS::Region` [default: what `cdk.out` fixes for a stack, else us-east-1]
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// `AWS::AccountId` [default: what `cdk.out` fixes for a stack, else twelve zeros]
    #[arg(long, value_name = "ID", value_parser = account_id)]
    pub(crate) account_id: Option<String>,
    /// Reload when a template or the configuration changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// Create the templates' tables, queues, topics and state machines at the services' endpoints
    /// (`[integrations.endpoints]`), before anything is served
    #[arg(long)]
    pub(crate) provision: bool,
    /// Name that the local CA may sign beside localhost, repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) ca_domain: Vec<String>,
    /// Print one JSON line on standard output when ready, then nothing else there
    #[arg(long)]
    pub(crate) ready_json: bool,
}

/// Verbs of `wsgate token`.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token, and a CSRF value that belongs to it
    Mint(Box<Mint>),
    /// Show header, claims and times of a token, never its signature
    Inspect(Inspect),
}

/// Arguments of `wsgate token mint`.
#[derive(Args, Debug)]
pub(crate) struct Mint {
    /// Key: `hmac:SOURCE` or `pem:SOURCE` (PKCS #8), SOURCE being `env:NAME` or `file:PATH`;
    /// default: the first key of the configuration's first issuer, where it can sign
    #[arg(long, value_name = "KIND:SOURCE")]
    pub(crate) key: Option<String>,
    /// Configuration to take issuer, audience, key and CSRF secret from
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Templates whose built-in authorizer the token is for; its settings come before `--config`
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Vec<PathBuf>,
    /// Algorithm [default: HS256 for hmac keys, else what the key is for]
    #[arg(long, value_name = "ALG")]
    pub(crate) algorithm: Option<String>,
    /// `kid` of the header
    #[arg(long)]
    pub(crate) kid: Option<String>,
    /// `iss` claim
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// `aud` claim, repeatable
    #[arg(long)]
    pub(crate) audience: Vec<String>,
    /// `sub` claim
    #[arg(long, default_value = "developer")]
    pub(crate) subject: String,
    /// `sid` claim, which the CSRF value is bound to [default: random]
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Life of the token in seconds; negative makes an expired one
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    pub(crate) expires_in: i64,
    /// Another claim, repeatable; VALUE is JSON if it parses as such, else text
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) claim: Vec<(String, String)>,
    /// Secret of the CSRF value: `env:NAME` or `file:PATH` [default: the configuration's]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) csrf_secret: Option<String>,
    /// Print `{"jwt":…,"csrf":…,"cookie":…,"protocols":[…]}` instead of the token alone
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `wsgate token inspect`.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The token; without it, standard input is read, which keeps it out of the shell's history
    pub(crate) token: Option<String>,
}

/// Verbs of `wsgate ca`.
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Print the certificate to install in a browser (PEM), and where it is
    Show {
        /// Make the authority if there is none yet
        #[arg(long)]
        create: bool,
        /// Name that it may sign beside localhost, repeatable
        #[arg(long, value_name = "NAME")]
        ca_domain: Vec<String>,
    },
    /// Delete the authority and its key
    Remove,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

fn account_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if is_id { Ok(text.to_owned()) } else { Err("expected twelve digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
