//! The layout for people: what `sx fmt` writes. Words and comments stay as they are, only white
//! space changes, so the forms read before and after are the same.
//!
//! What fits on a line stays on one. What doesn't is broken after its head, a key and its value
//! kept together; the first operand of `fn`, `let` and the like stays beside the head.

use crate::data::Value;
use crate::lex::{Lexer, Token};
use crate::print::print;
use crate::read::{Bracket, ReadError, Span, read_all};

/// How long a line may become, characters, where it can be broken.
const WIDTH: usize = 90;

/// A value, laid out for people.
#[must_use]
pub fn pretty(value: &Value) -> String {
    let text = print(value);
    // What doesn't read is shown as it is: a program's value may nest deeper than any text.
    format(&text, usize::MAX).unwrap_or(text)
}

/// A source text, laid out anew, nested up to `depth` levels; ends in a line feed unless empty.
///
/// # Errors
/// What the reader refuses.
pub fn format(source: &str, depth: usize) -> Result<String, ReadError> {
    // The reader checks what the tree below takes for granted: brackets that match, and depth.
    read_all(source, depth)?;
    let mut out = Layout {
        out: String::with_capacity(source.len()),
        column: 0,
    };
    let mut previous: Option<Node<'_>> = None;
    for node in tree(source)? {
        if let Some(previous) = &previous {
            if node.is_trailing(previous) {
                out.push(" ");
            } else {
                out.line(0);
                if node.span.line > previous.last_line + 1 {
                    out.line(0);
                }
            }
        }
        out.node(&node, 0);
        previous = Some(node);
    }
    if previous.is_some() {
        out.line(0);
    }
    Ok(out.out)
}

struct Node<'a> {
    span: Span,
    last_line: u32,
    /// Its length on one line; `None` if a comment makes that impossible.
    flat: Option<usize>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Word(&'a str),
    Comment(&'a str),
    Group(Bracket, Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    fn leaf(kind: Kind<'a>, span: Span) -> Self {
        let flat = match &kind {
            Kind::Word(text) => Some(text.chars().count()),
            _ => None,
        };
        Self {
            span,
            last_line: span.line,
            flat,
            kind,
        }
    }

    fn group(bracket: Bracket, children: Vec<Self>, span: Span, last_line: u32) -> Self {
        let spaces = children.len().saturating_sub(1);
        let flat = children
            .iter()
            .map(|child| child.flat)
            .sum::<Option<usize>>();
        Self {
            span,
            last_line,
            flat: flat.map(|inner| inner + spaces + 2),
            kind: Kind::Group(bracket, children),
        }
    }

    fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Comment(_))
    }

    fn is_keyword(&self) -> bool {
        matches!(self.kind, Kind::Word(text) if text.starts_with(':'))
    }

    /// A comment beside what it is about.
    fn is_trailing(&self, previous: &Self) -> bool {
        self.is_comment() && !previous.is_comment() && self.span.line == previous.last_line
    }
}

fn tree(source: &str) -> Result<Vec<Node<'_>>, ReadError> {
    let mut lexer = Lexer::new(source);
    let mut nodes = Vec::new();
    let mut open: Vec<(Span, Vec<Node<'_>>)> = Vec::new();
    while let Some((token, span)) = lexer.token()? {
        let text = &source[span.offset as usize..span.end as usize];
        match token {
            Token::Open(_) => open.push((span, std::mem::take(&mut nodes))),
            Token::Close(bracket) => {
                let (start, outer) = open.pop().expect("the reader has matched the brackets");
                let children = std::mem::replace(&mut nodes, outer);
                nodes.push(Node::group(bracket, children, start, span.line));
            }
            Token::Atom(_) => nodes.push(Node::leaf(Kind::Word(text), span)),
            Token::Comment => nodes.push(Node::leaf(Kind::Comment(text.trim_end()), span)),
        }
    }
    Ok(nodes)
}

struct Layout {
    out: String,
    column: usize,
}

impl Layout {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// Writes a node here; `after` characters follow it on its last line.
    fn node(&mut self, node: &Node<'_>, after: usize) {
        match &node.kind {
            Kind::Word(text) | Kind::Comment(text) => self.push(text),
            Kind::Group(bracket, children) => {
                let room = WIDTH.saturating_sub(self.column + after);
                self.push_bracket(bracket.open());
                if node.flat.is_some_and(|length| length <= room) {
                    for (at, child) in children.iter().enumerate() {
                        if at > 0 {
                            self.push(" ");
                        }
                        self.node(child, 0);
                    }
                } else {
                    self.broken(*bracket, children, after);
                }
                self.push_bracket(bracket.close());
            }
        }
    }

    fn push_bracket(&mut self, bracket: char) {
        self.out.push(bracket);
        self.column += 1;
    }

    fn broken(&mut self, bracket: Bracket, children: &[Node<'_>], after: usize) {
        let headed = match (bracket, children.first().map(|head| &head.kind)) {
            (Bracket::Round, Some(Kind::Word(head))) if !head.starts_with([':', '"']) => {
                Some(*head)
            }
            _ => None,
        };
        let start = self.column;
        let indent = if headed.is_some() { start + 1 } else { start };
        let operand = headed.is_some_and(keeps_operand);
        // Keys and values come in turn after the head; a comment between them counts as neither.
        let mut after_key = false;
        for (at, child) in children.iter().enumerate() {
            let last = at + 1 == children.len();
            if let Some(previous) = at.checked_sub(1).map(|before| &children[before]) {
                let is_value = after_key && !previous.is_comment();
                let is_operand = operand && at == 1;
                if child.is_trailing(previous) || (!child.is_comment() && (is_value || is_operand))
                {
                    self.push(" ");
                } else {
                    self.line(indent);
                }
            }
            self.node(child, if last { after + 1 } else { 0 });
            if !child.is_comment() {
                after_key = !after_key && child.is_keyword();
            }
        }
        if children.last().is_some_and(Node::is_comment) {
            self.line(start - 1);
        }
    }
}

/// Forms whose first operand says what the others are about.
fn keeps_operand(head: &str) -> bool {
    matches!(
        head,
        "fn" | "let" | "define" | "if" | "when" | "case" | "guard" | "quote"
    )
}
