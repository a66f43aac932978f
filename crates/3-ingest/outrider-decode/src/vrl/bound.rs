//! What a program may do with memory, decided before it runs.
//!
//! The language has no loops, so time is bounded by what is copied. But a value can be doubled line by line: forty lines
//! `x = x + x` are a terabyte. Each value of a program is therefore given a bound of its size, as a multiple of the
//! input and some bytes, by walking the program once; what would grow too far is refused with its line. And because parser
//! and compiler go down as deep as a program is nested, its nesting is bounded before they see it.

use std::collections::BTreeMap;

use ::vrl::parser::Program;
use ::vrl::parser::ast::{
    Assignment, AssignmentOp, AssignmentTarget, Container, Expr, FunctionCall, Literal, Node, Opcode,
    Predicate, QueryTarget, RootExpr, Unary,
};
use ::vrl::parser::template_string::StringSegment;
use ::vrl::path::{OwnedSegment, OwnedValuePath};

use super::functions;

/// Most brackets inside brackets.
const BRACKETS_MAX: usize = 16;
/// Most operators of one line at one level of brackets; longer expressions are split by names.
const OPERATORS_MAX: usize = 64;
/// Most branches of a program.
const ELSES_MAX: usize = 64;

/// Largest size of any value, in inputs: what a program builds is the event, not many of them.
const GROWTH_MAX: u64 = 16;
/// Largest size of any value beside its share of the input, bytes.
const CONSTANT_MAX: u64 = 1 << 20;
/// Most inputs that are copied in all: a program reads the document a few hundred times, a member at a time.
const COPIES_MAX: u64 = 4_096;
/// Largest index of a list that a program may write: lists are filled with null up to it.
const INDEX_MAX: isize = 1_024;

/// Refuses a text that is nested too deep, without parsing it.
pub(super) fn check_nesting(source: &str) -> Result<(), String> {
    // Operators of the line so far, for each open bracket.
    let mut levels = vec![0_usize];
    let mut elses = 0;
    let mut line_ends_open = false;
    let mut bytes = source.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' | b'\'' => skip_quoted(byte, &mut bytes),
            b'#' => while bytes.next_if(|(_, byte)| *byte != b'\n').is_some() {},
            b'(' | b'[' | b'{' => {
                levels.push(0);
                if levels.len() > BRACKETS_MAX + 1 {
                    return Err(format!("more than {BRACKETS_MAX} brackets inside brackets"));
                }
            }
            b')' | b']' | b'}' if levels.len() > 1 => {
                levels.pop();
            }
            // A line that ends in an operator goes on; so does one that the next begins with.
            b'\n' | b';' => {
                let goes_on = line_ends_open || source[at + 1..].trim_start().starts_with(is_operator);
                if !goes_on && let Some(level) = levels.last_mut() {
                    *level = 0;
                }
                continue;
            }
            byte if is_operator(char::from(byte)) => {
                let level = levels.last_mut().ok_or("unbalanced brackets")?;
                *level += 1;
                if *level > OPERATORS_MAX {
                    return Err(format!("more than {OPERATORS_MAX} operators in one expression"));
                }
            }
            b'e' if source[at..].starts_with("else") => {
                elses += 1;
                if elses > ELSES_MAX {
                    return Err(format!("more than {ELSES_MAX} branches"));
                }
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            line_ends_open = is_operator(char::from(byte));
        }
    }
    Ok(())
}

fn is_operator(byte: char) -> bool {
    matches!(byte, '!' | '?' | '|' | '&' | '+' | '-' | '*' | '/' | '%' | '=' | '<' | '>' | ',' | ':')
}

fn skip_quoted(quote: u8, bytes: &mut std::iter::Peekable<std::iter::Enumerate<std::str::Bytes<'_>>>) {
    while let Some((_, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            byte if byte == quote => return,
            _ => {}
        }
    }
}

/// Size of a value: at most `inputs` times the input and `bytes` more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bound {
    inputs: u64,
    bytes: u64,
}

impl Bound {
    /// A value without parts.
    const SCALAR: Self = Self { inputs: 0, bytes: 64 };

    fn and(self, other: Self) -> Self {
        Self {
            inputs: self.inputs.saturating_add(other.inputs),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn or(self, other: Self) -> Self {
        Self { inputs: self.inputs.max(other.inputs), bytes: self.bytes.max(other.bytes) }
    }
}

type Refusal = (usize, String);

/// What is known of sizes at a place of the program.
#[derive(Debug, Clone, Default)]
struct Sizes {
    event: Bound,
    metadata: Bound,
    names: BTreeMap<String, Bound>,
}

impl Sizes {
    fn or(mut self, other: Self) -> Self {
        self.event = self.event.or(other.event);
        self.metadata = self.metadata.or(other.metadata);
        for (name, bound) in other.names {
            let here = self.names.entry(name).or_default();
            *here = here.or(bound);
        }
        self
    }
}

#[derive(Debug)]
struct Walk {
    sizes: Sizes,
    copied: u64,
    /// Where the expression at hand begins.
    at: usize,
}

/// Refuses a program whose values could grow beyond bounds: the place, and why.
pub(super) fn check(program: &Program) -> Result<(), Refusal> {
    let sizes = Sizes { event: Bound { inputs: 1, bytes: 64 }, ..Sizes::default() };
    let mut walk = Walk { sizes, copied: 0, at: 0 };
    for root in program.iter() {
        walk.at = root.start();
        match root.as_ref() {
            RootExpr::Expr(expr) => {
                walk.expr(expr)?;
            }
            RootExpr::Error(_) => return Err((walk.at, "the program does not parse".to_owned())),
        }
    }
    Ok(())
}

impl Walk {
    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Refusal> {
        Err((self.at, reason.into()))
    }

    /// Notes that a value of this size is made.
    fn made(&mut self, bound: Bound) -> Result<Bound, Refusal> {
        self.copied = self.copied.saturating_add(bound.inputs);
        if bound.inputs > GROWTH_MAX || bound.bytes > CONSTANT_MAX {
            return self.refuse(format!("a value could grow beyond {GROWTH_MAX} times the document"));
        }
        if self.copied > COPIES_MAX {
            return self.refuse(format!("the document could be copied more than {COPIES_MAX} times"));
        }
        Ok(bound)
    }

    fn expr(&mut self, node: &Node<Expr>) -> Result<Bound, Refusal> {
        self.at = node.start();
        match node.as_ref() {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Container(container) => self.container(container),
            Expr::IfStatement(branch) => {
                let predicate = match branch.predicate.as_ref() {
                    Predicate::One(expr) => self.expr(expr)?,
                    Predicate::Many(exprs) => self.last(exprs)?,
                };
                let before = self.sizes.clone();
                let then = self.last(&branch.if_node.clone().into_inner().into_inner())?;
                let after = std::mem::replace(&mut self.sizes, before);
                let other = match &branch.else_node {
                    Some(block) => self.last(&block.clone().into_inner().into_inner())?,
                    None => Bound::SCALAR,
                };
                let sizes = std::mem::take(&mut self.sizes);
                self.sizes = sizes.or(after);
                self.made(predicate.or(then).or(other))
            }
            Expr::Op(op) => {
                let (left, right) = (self.expr(&op.0)?, self.expr(&op.2)?);
                let is_float = |expr: &Node<Expr>| matches!(expr.as_ref(), Expr::Literal(literal) if matches!(literal.as_ref(), Literal::Float(_)));
                match op.1.as_ref() {
                    // A text times a number is that many texts.
                    Opcode::Mul if !is_float(&op.0) && !is_float(&op.2) => {
                        self.refuse("`*` needs a floating-point literal on one side, as in `.x * 0.1`; use multiply(a, b)")
                    }
                    Opcode::Add | Opcode::Merge => self.made(left.and(right)),
                    Opcode::Or | Opcode::And | Opcode::Err => self.made(left.or(right)),
                    Opcode::Mul
                    | Opcode::Div
                    | Opcode::Sub
                    | Opcode::Ne
                    | Opcode::Eq
                    | Opcode::Ge
                    | Opcode::Gt
                    | Opcode::Le
                    | Opcode::Lt => Ok(Bound::SCALAR),
                }
            }
            Expr::Assignment(assignment) => match assignment.as_ref() {
                Assignment::Single { target, op, expr } => {
                    let bound = self.expr(expr)?;
                    self.assign(target.as_ref(), op, bound)
                }
                Assignment::Infallible { ok, err, op, expr } => {
                    let bound = self.expr(expr)?;
                    // The message of an error is a text of this program's and the runtime's words.
                    self.assign(err.as_ref(), op, Bound { inputs: 0, bytes: 1_024 })?;
                    self.assign(ok.as_ref(), op, bound)
                }
            },
            Expr::Query(query) => {
                let bound = match query.target.as_ref() {
                    QueryTarget::Internal(name) => self.name(name),
                    QueryTarget::External(::vrl::path::PathPrefix::Event) => self.sizes.event,
                    QueryTarget::External(::vrl::path::PathPrefix::Metadata) => self.sizes.metadata,
                    QueryTarget::FunctionCall(call) => self.call(call)?,
                    QueryTarget::Container(container) => self.container(container)?,
                };
                self.made(bound)
            }
            Expr::FunctionCall(call) => self.call(call),
            Expr::Variable(name) => {
                let bound = self.name(name);
                self.made(bound)
            }
            Expr::Unary(unary) => match unary.as_ref() {
                Unary::Not(not) => {
                    let (_, inner) = not.as_ref().clone().take();
                    self.expr(&inner)?;
                    Ok(Bound::SCALAR)
                }
            },
            Expr::Abort(abort) => {
                abort.message.as_ref().map_or(Ok(Bound::SCALAR), |message| self.expr(message))
            }
            Expr::Return(value) => self.expr(&value.expr),
            Expr::Break(_) => Ok(Bound::SCALAR),
        }
    }

    /// Walks a block; its value is that of its last expression.
    fn last(&mut self, exprs: &[Node<Expr>]) -> Result<Bound, Refusal> {
        exprs.iter().try_fold(Bound::SCALAR, |_, expr| self.expr(expr))
    }

    fn literal(&mut self, literal: &Node<Literal>) -> Result<Bound, Refusal> {
        match literal.as_ref() {
            Literal::String(text) => {
                let parts = text.0.iter().map(|segment| match segment {
                    StringSegment::Literal(text, _) => Bound { inputs: 0, bytes: text.len() as u64 },
                    StringSegment::Template(name, _) => {
                        self.sizes.names.get(name.trim()).copied().unwrap_or(Bound::SCALAR)
                    }
                });
                let bound = parts.fold(Bound::SCALAR, Bound::and);
                self.made(bound)
            }
            Literal::RawString(text) | Literal::Regex(text) | Literal::Timestamp(text) => {
                self.made(Bound { inputs: 0, bytes: 64 + text.len() as u64 })
            }
            Literal::Integer(_) | Literal::Float(_) | Literal::Boolean(_) | Literal::Null => {
                Ok(Bound::SCALAR)
            }
        }
    }

    fn container(&mut self, container: &Container) -> Result<Bound, Refusal> {
        let mut sum = Bound::SCALAR;
        match container {
            Container::Group(group) => return self.expr(&group.as_ref().as_ref().clone().into_inner()),
            Container::Block(block) => return self.last(&block.as_ref().clone().into_inner()),
            Container::Array(array) => {
                for expr in array.as_ref().clone() {
                    sum = sum.and(self.expr(&expr)?).and(Bound::SCALAR);
                }
            }
            Container::Object(object) => {
                for (name, expr) in object.as_ref().clone() {
                    let key = Bound { inputs: 0, bytes: 64 + name.len() as u64 };
                    sum = sum.and(self.expr(&expr)?).and(key);
                }
            }
        }
        self.made(sum)
    }

    fn call(&mut self, call: &FunctionCall) -> Result<Bound, Refusal> {
        let mut sum = Bound::SCALAR;
        for argument in &call.arguments {
            sum = sum.and(self.expr(&argument.expr)?);
        }
        let name: &str = call.ident.as_ref();
        let Some((times, bytes)) = functions::growth(name) else {
            return self.refuse(format!("there is no function `{name}`"));
        };
        if call.closure.is_some() {
            return self.refuse("closures are not part of this language's subset");
        }
        let grown = Bound {
            inputs: sum.inputs.saturating_mul(times),
            bytes: sum.bytes.saturating_mul(times).saturating_add(bytes),
        };
        self.made(grown)
    }

    fn name(&self, name: &str) -> Bound {
        self.sizes.names.get(name).copied().unwrap_or(Bound::SCALAR)
    }

    fn assign(
        &mut self,
        target: &AssignmentTarget,
        op: &AssignmentOp,
        value: Bound,
    ) -> Result<Bound, Refusal> {
        let (root, path) = match target {
            AssignmentTarget::Noop => return Ok(value),
            AssignmentTarget::Query(query) => match query.target.as_ref() {
                QueryTarget::Internal(name) => (Some(name.to_string()), Some(query.path.as_ref())),
                QueryTarget::External(::vrl::path::PathPrefix::Event) => (None, Some(query.path.as_ref())),
                QueryTarget::External(::vrl::path::PathPrefix::Metadata)
                | QueryTarget::FunctionCall(_)
                | QueryTarget::Container(_) => {
                    return self.refuse("only names and the document can be assigned to");
                }
            },
            AssignmentTarget::Internal(name, path) => (Some(name.to_string()), path.as_ref()),
            AssignmentTarget::External(None) => (None, None),
            AssignmentTarget::External(Some(path)) => match path.prefix {
                ::vrl::path::PathPrefix::Event => (None, Some(&path.path)),
                ::vrl::path::PathPrefix::Metadata => return self.refuse("there is no metadata"),
            },
        };
        let (is_whole, padding) = self.path(path)?;
        let before = root.as_deref().map_or(self.sizes.event, |name| self.name(name));
        let is_replaced = is_whole && *op == AssignmentOp::Assign;
        let after = if is_replaced { value } else { before.and(value).and(padding) };
        let after = self.made(after)?;
        match root {
            Some(name) => {
                self.sizes.names.insert(name, after);
            }
            None => self.sizes.event = after,
        }
        Ok(value)
    }

    /// Returns whether a path is the whole value, and what writing to it adds beside the value.
    fn path(&self, path: Option<&OwnedValuePath>) -> Result<(bool, Bound), Refusal> {
        let Some(path) = path.filter(|path| !path.is_root()) else { return Ok((true, Bound::default())) };
        let mut padding = Bound::default();
        for segment in &path.segments {
            padding = padding.and(match segment {
                OwnedSegment::Field(name) => Bound { inputs: 0, bytes: 64 + name.len() as u64 },
                OwnedSegment::Index(index) if (-INDEX_MAX..=INDEX_MAX).contains(index) => {
                    Bound { inputs: 0, bytes: 64 * (index.unsigned_abs() as u64 + 1) }
                }
                OwnedSegment::Index(_) => return self.refuse(format!("an index is beyond {INDEX_MAX}")),
            });
        }
        Ok((false, padding))
    }
}
