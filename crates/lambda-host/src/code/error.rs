//! Why the code of a function cannot run here.

use std::path::PathBuf;

/// Why the code of a function cannot be prepared or started on this machine. Every text names
/// what is wrong and what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CodeError {
    /// A file that is not a zip archive, or a damaged one.
    #[error("`{}` is not a zip archive that can be read: {reason}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What the reader of archives says.
        reason: String,
    },
    /// An entry that is refused, wherever it would have led.
    #[error("`{}` is refused: its entry `{entry}` {fault}", path.display())]
    ArchiveEntry {
        /// The archive.
        path: PathBuf,
        /// The entry's name, control characters escaped.
        entry: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// A compiled or packed format that only its own runtime reads.
    #[error(
        "`{}` is neither a folder nor a zip archive; give the folder of the code, or serve the \
         function with `url` or `command`",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Inline code is always the file `index`.
    #[error(
        "the handler `{handler}` names another file than `index`, but inline code is the file \
         `index`; write `index.NAME`"
    )]
    InlineHandler {
        /// The handler.
        handler: String,
    },
    /// Only Node.js and Python have inline code.
    #[error(
        "inline code needs a `nodejs` or `python` runtime, not `{runtime}`; put the code into a \
         folder"
    )]
    InlineRuntime {
        /// The runtime.
        runtime: String,
    },
    /// No usable interpreter on `PATH`.
    #[error(
        "runtime `{runtime}` needs `{program}` {minimum} or later on PATH{}; install it, or set \
         `command`",
        found.as_ref().map(|found| format!(" (found {found})")).unwrap_or_default()
    )]
    Interpreter {
        /// The runtime.
        runtime: String,
        /// The program that was looked for.
        program: String,
        /// The oldest version that works.
        minimum: &'static str,
        /// What was found instead, if anything.
        found: Option<String>,
    },
    /// Nothing at this path.
    #[error(
        "there is nothing at `{}`; build the code first, and mind that paths are relative to the \
         template's folder",
        path.display()
    )]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A custom runtime without its program.
    #[error(
        "there is no file `bootstrap` in `{}` or a layer; a `provided` runtime starts it, so \
         build the function into it, or set `command`",
        folder.display()
    )]
    NoBootstrap {
        /// The folder of the code.
        folder: PathBuf,
    },
    /// The program of `command` is nowhere.
    #[error(
        "the command `{program}` is neither in the function's folder nor on PATH; give its path"
    )]
    NoCommand {
        /// The program.
        program: String,
    },
    /// A file that may not be executed.
    #[error("`{}` is not executable; run `chmod +x` on it", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// A runtime that does not run here.
    #[error(
        "runtime `{runtime}` does not run on this machine by itself; serve the function with \
         `url`, or set `command`"
    )]
    Runtime {
        /// The runtime.
        runtime: String,
    },
    /// More files than a deployment package may hold.
    #[error("`{}` holds more than {max} files", path.display())]
    TooManyFiles {
        /// The folder or archive.
        path: PathBuf,
        /// How many are accepted.
        max: usize,
    },
    /// More bytes than a deployment package may hold ([quotas]).
    ///
    /// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    #[error(
        "`{}` unpacks to more than {max} bytes, all layers included, which Lambda refuses as \
         well; give a folder instead",
        path.display()
    )]
    TooLarge {
        /// The archive at which the limit was reached.
        path: PathBuf,
        /// How many bytes are accepted.
        max: u64,
    },
    /// A file or folder that cannot be read or written.
    #[error("`{}`: {reason}", path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
}

/// Why an entry of an archive is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EntryFault {
    /// Two entries of one name.
    #[error("is there twice")]
    Duplicate,
    /// A link with a target outside.
    #[error("is a link that leads out of the archive")]
    LinkOut,
    /// A name with `..`, an absolute name, or one that is no name.
    #[error("has a name that leads out of the archive")]
    Name,
    /// A device, a pipe or a socket.
    #[error("is neither a file, a folder nor a link")]
    Special,
}

impl CodeError {
    pub(crate) fn unusable(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Unusable { path: path.to_owned(), reason: error.to_string() }
    }
}
