//! `outrider sql`.

use std::time::Duration;

use clap::Args;
use outrider_lake::{QueryColumn, QueryLimits, QueryResult, column_docs};
use serde_json::{Value, json};

use super::lake::Place;
use super::{Failure, print, runtime};

/// Asks the lake with one SELECT; read only, also beside a running system.
///
/// JSON fields: columns (name, kind), rows, truncated; with --columns: columns (name, kind, unit, text).
#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// The query, for example: select event_type, count(*) from events group by 1
    #[arg(required_unless_present = "columns")]
    query: Option<String>,
    /// Explain the columns of the table instead.
    #[arg(long, conflicts_with = "query")]
    columns: bool,
    #[command(flatten)]
    place: Place,
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
        let Some(query) = self.query.filter(|_| !self.columns) else { return explain(self.json) };
        let runtime = runtime()?;
        let lake = self.place.read(&runtime)?;
        let limits = QueryLimits {
            rows_max: self.limit,
            time_max: Duration::from_secs(self.seconds),
            ..QueryLimits::default()
        };
        let result = lake.sql(&query, &limits).map_err(Failure::input)?;
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

/// Prints every column with its meaning.
fn explain(is_json: bool) -> Result<(), Failure> {
    let docs = column_docs();
    if is_json {
        let columns: Vec<Value> = docs
            .iter()
            .map(|doc| json!({"name": doc.name, "kind": doc.kind, "unit": doc.unit, "text": doc.text}))
            .collect();
        return print(&format!("{}\n", json!({"columns": columns})));
    }
    let names = ["name", "kind", "unit", "text"];
    let column = |name: &str| QueryColumn { name: name.to_owned(), kind: "text" };
    let rows = docs.iter().map(|doc| [doc.name, doc.kind, doc.unit, doc.text].map(Value::from).to_vec());
    let result = QueryResult { columns: names.map(column).to_vec(), rows: rows.collect(), truncated: false };
    print(&table(&result))
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
