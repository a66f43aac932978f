//! Names data files and describes them for the table's log.

use deltalake_core::kernel::{Action, Add};

use crate::encode::Encoded;
use crate::schema::Layout;

/// Folder of rows without a value in a partition column, as every tool of this family names it.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Hexadecimal digits of a checksum.
const SUM_DIGITS: usize = 8;

#[expect(clippy::disallowed_types, reason = "the table library's log entries are made of hashed maps")]
pub(super) type PartitionValues = std::collections::HashMap<String, Option<String>>;

/// Names a file and describes it for the table's log.
///
/// The name holds a random number, because a worker that was thought dead may write the same offsets again: its file must
/// not replace the one that was committed. It ends in the checksum of the bytes, which no tool drops on the way.
pub(super) fn add(
    values: &PartitionValues,
    layout: Layout,
    name: &str,
    encoded: Encoded,
    time_ms: i64,
    data_change: bool,
) -> (Add, Vec<u8>) {
    let folders: Vec<String> = layout
        .partition_columns()
        .iter()
        .map(|column| {
            let value = values.get(*column).cloned().flatten().unwrap_or_else(|| NO_VALUE.to_owned());
            format!("{column}={value}")
        })
        .collect();
    let (folder, sum) = (folders.join("/"), crc32c::crc32c(&encoded.bytes));
    let path = format!("{folder}/{name}-{}-{sum:08x}.parquet", uuid::Uuid::new_v4().simple());
    let size = i64::try_from(encoded.bytes.len()).expect("a file in memory is smaller than 2^63 bytes");
    let add = Add {
        path,
        partition_values: values.clone(),
        size,
        modification_time: time_ms,
        data_change,
        stats: Some(encoded.statistics),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    };
    (add, encoded.bytes)
}

/// Gives files a value, even if it is none, in each partition column of the layout.
pub(super) fn fill(actions: &mut [Action], layout: Layout) {
    for action in actions {
        if let Action::Add(add) = action {
            for &column in layout.partition_columns() {
                add.partition_values.entry(column.to_owned()).or_insert(None);
            }
        }
    }
}

/// Returns the checksum in a file's name; files of the first layout have none.
pub(super) fn sum_of(path: &str) -> Option<u32> {
    let (_, digits) = path.strip_suffix(".parquet")?.rsplit_once('-')?;
    (digits.len() == SUM_DIGITS).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_in_the_checksum_of_the_bytes() {
        let encoded = Encoded { bytes: b"123456789".to_vec(), statistics: String::new(), rows: 0 };
        let values = PartitionValues::from([
            ("tenant".to_owned(), Some("1".to_owned())),
            ("ingest_date".to_owned(), Some("2026-01-05".to_owned())),
            ("bucket".to_owned(), None),
        ]);
        let (add, _) = add(&values, Layout::Two, "sorted", encoded, 0, false);
        let folder = "tenant=1/ingest_date=2026-01-05/bucket=__HIVE_DEFAULT_PARTITION__/sorted-";
        assert!(add.path.starts_with(folder), "{}", add.path);
        assert_eq!(sum_of(&add.path), Some(0xE306_9283), "the check value of CRC-32C");
        let uuid = "tenant=1/sorted-0123456789abcdef0123456789abcdef.parquet";
        assert_eq!([sum_of(uuid), sum_of("a-b.parquet"), sum_of("x")], [None, None, None]);
    }
}
