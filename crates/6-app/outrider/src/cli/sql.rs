//! `outrider sql`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use outrider_lake::{Lake, LakeConfig, QueryLimits, QueryResult};
use serde_json::{Value, json};

use super::{Failure, print, runtime};

/// Folders that `serve` and `demo` use where nobody says.
const FOLDERS: [&str; 2] = ["outrider-data", "demo-data"];

/// Asks the lake with one SELECT; read only, also beside a running system.
///
/// JSON fields: columns (name, kind), rows, truncated.
#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// The query, for example: select event_type, count(*) from events group by 1
    query: String,
    /// Folder of the installation [default: outrider-data, or demo-data if only the demo has run here].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Most rows.
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
    /// Most seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Sql {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let folder = self.folder.unwrap_or_else(|| {
            let here = FOLDERS.map(PathBuf::from);
            here.iter().find(|folder| folder.is_dir()).unwrap_or(&here[0]).clone()
        });
        let location = folder.join("lake");
        let lake =
            Lake::open_read_only(&LakeConfig::new(location.to_string_lossy()), runtime.handle().clone())
                .map_err(|error| Failure::input(format!("{}: {error}", location.display())))?;
        let limits = QueryLimits {
            rows_max: self.limit,
            time_max: Duration::from_secs(self.seconds),
            ..QueryLimits::default()
        };
        let result = lake.sql(&self.query, &limits).map_err(Failure::input)?;
        if self.json {
            let columns: Vec<Value> = result
                .columns
                .iter()
                .map(|column| json!({"name": column.name, "kind": column.kind}))
                .collect();
            let object = json!({"columns": columns, "rows": result.rows, "truncated": result.truncated});
            return print(&format!("{object}\n"));
        }
        print(&table(&result))
    }
}

/// Returns the result as a table of aligned columns.
fn table(result: &QueryResult) -> String {
    let head: Vec<String> = result.columns.iter().map(|column| column.name.clone()).collect();
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let rows: Vec<Vec<String>> = result.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let mut out = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    if result.truncated {
        out.push_str("(more rows were left out: raise --limit)\n");
    }
    out
}
