//! The zip that Lambda takes, and check sums.

use std::io::{Cursor, Write as _};

use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::PROGRAM;
use crate::Failure;

/// A zip of `program` alone. It depends on nothing but the bytes: the time stamp is the first that
/// the format knows, and the compressor has one way for all processors.
pub(super) fn zip(program: &[u8]) -> Result<Vec<u8>, Failure> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let write = || {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(PROGRAM, options)?;
        zip.write_all(program)?;
        Ok::<_, zip::result::ZipError>(zip.finish()?.into_inner())
    };
    write().map_err(|error| format!("cannot make the zip: {error}"))
}

/// The sum of `bytes`, in lower-case hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Bytes that compress a little.
    fn program() -> Vec<u8> {
        (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 27) as u8).collect()
    }

    #[test]
    fn the_zip_holds_one_executable_and_no_date() {
        let zip = zip(&program()).unwrap();
        assert!(zip.len() < program().len());
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_index(0).unwrap();
        assert_eq!(file.name().unwrap(), "bootstrap");
        assert_eq!(file.unix_mode(), Some(0o100_755));
        assert_eq!(file.compression(), CompressionMethod::Deflated);
        assert_eq!(file.last_modified(), Some(DateTime::default()));
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content, program());
    }

    /// The sum was computed once; another one means that zips of old releases cannot be made
    /// again, which is worth a line in the release notes.
    #[test]
    fn the_same_program_gives_the_same_zip() {
        let first = zip(&program()).unwrap();
        assert_eq!(first, zip(&program()).unwrap());
        assert_eq!(
            sha256(&first),
            "62ef2c67d81739d91d039ca75905af1e0fd81a9ac76bcbe02ed280af100f566d"
        );
    }
}
