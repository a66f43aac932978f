//! A mapping as a program in VRL, the Vector Remap Language.
//!
//! The language has no loops of its own, no jumps and no side effects but on the document. Two things are added: the
//! functions are those of `functions.rs` and no others (none reaches network, files, environment or clock), and `bound.rs`
//! refuses a program whose values could grow beyond a multiple of its input.

mod bound;
mod functions;
mod value;

pub use functions::vrl_functions;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ::vrl::compiler::runtime::{Runtime, Terminate};
use ::vrl::compiler::state::{ExternalEnv, RuntimeState};
use ::vrl::compiler::{CompileConfig, ExpressionError, Program, TargetValueRef, TimeZone};
use ::vrl::diagnostic::Formatter;
use ::vrl::value::{Secrets, Value};

use crate::doc::Doc;
use crate::map::{MapError, Mapping};
use crate::record::Output;
use crate::shape;

/// Largest program, bytes: the longest public remap programs have about 10,000 (guess).
const SOURCE_BYTES_MAX: usize = 64 * 1_024;

/// A compiled program.
pub struct VrlMap {
    program: Program,
    namespace: String,
    /// Offsets at which lines begin, for the places of errors.
    lines: Vec<usize>,
}

impl std::fmt::Debug for VrlMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VrlMap").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

/// Why a text is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VrlError {
    /// The text is too long or too nested.
    #[error("program: {0}")]
    Shape(String),
    /// The compiler refuses it.
    #[error("program: {0}")]
    Compile(String),
    /// Its values could grow beyond bounds.
    #[error("program, line {line}: {reason}")]
    Bound {
        /// Line, from 1.
        line: usize,
        /// Why, in words, and what to write instead.
        reason: String,
    },
}

impl VrlMap {
    /// Compiles a program; foreign fields without a namespace of their own get `namespace`.
    ///
    /// # Errors
    /// [`VrlError`].
    pub fn compile(source: &str, namespace: &str) -> Result<Self, VrlError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(VrlError::Shape(format!("more than {SOURCE_BYTES_MAX} bytes")));
        }
        // Parser and compiler go down into a program as deep as it is nested.
        bound::check_nesting(source).map_err(VrlError::Shape)?;
        let lines: Vec<usize> =
            std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let panicked = || VrlError::Compile("the compiler stopped on it".to_owned());
        catch_unwind(AssertUnwindSafe(|| {
            let tree = ::vrl::parser::parse(source).map_err(|error| VrlError::Compile(error.to_string()))?;
            bound::check(&tree)
                .map_err(|(at, reason)| VrlError::Bound { line: line_of(&lines, at), reason })?;
            let compiled = ::vrl::compiler::compile_with_external(
                source,
                &functions::all(),
                &ExternalEnv::default(),
                CompileConfig::default(),
            );
            let program = compiled
                .map_err(|diagnostics| VrlError::Compile(Formatter::new(source, diagnostics).to_string()))?
                .program;
            Ok(Self { program, namespace: namespace.to_owned(), lines: lines.clone() })
        }))
        .unwrap_or_else(|_| Err(panicked()))
    }

    fn run(&self, doc: Doc) -> Result<Value, MapError> {
        let mut value = value::from_doc(doc);
        let mut metadata = Value::Object(::vrl::value::ObjectMap::new());
        let mut secrets = Secrets::default();
        let mut target = TargetValueRef { value: &mut value, metadata: &mut metadata, secrets: &mut secrets };
        let mut runtime = Runtime::new(RuntimeState::default());
        // Never the machine's zone: a program gives the same everywhere.
        let zone = TimeZone::Named(chrono_tz::UTC);
        match runtime.resolve(&mut target, &self.program, &zone) {
            Ok(_) => Ok(value),
            Err(Terminate::Interrupted) => Err(MapError::new("map.program", "interrupted")),
            Err(Terminate::Abort(error)) => Err(self.error("map.abort", &error)),
            Err(Terminate::Error(error)) => Err(self.error("map.program", &error)),
        }
    }

    /// Says where a program failed. The message of `abort` may hold what the program read, so only its line is said.
    fn error(&self, reason: &'static str, error: &ExpressionError) -> MapError {
        let at = |span: ::vrl::diagnostic::Span| line_of(&self.lines, span.start());
        let place = match error {
            ExpressionError::Abort { span, .. } | ExpressionError::Return { span, .. } => {
                format!("line {}", at(*span))
            }
            ExpressionError::Error { .. }
            | ExpressionError::Interrupted
            | ExpressionError::Fallible { .. }
            | ExpressionError::Missing { .. }
            | ExpressionError::Break { .. } => error.to_string(),
        };
        MapError::new(reason, crate::map::cut(place, 256))
    }
}

fn line_of(lines: &[usize], at: usize) -> usize {
    lines.partition_point(|begin| *begin <= at)
}

impl Mapping for VrlMap {
    fn map(&self, doc: Doc) -> Result<Option<Output>, MapError> {
        // A bug in the language must cost an event, not a worker.
        let made = catch_unwind(AssertUnwindSafe(|| self.run(doc)));
        let value =
            made.unwrap_or_else(|_| Err(MapError::new("map.panic", "the program stopped the runtime")))?;
        shape::output(value::to_doc(value), &self.namespace)
    }
}

#[cfg(test)]
mod tests;
