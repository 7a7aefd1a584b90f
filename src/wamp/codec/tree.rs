//! JSON payload as a tree, for transcoding. The message has been scanned before, so the text is valid and its depth
//! bounded; here speed counts, and that is what simd-json is for. It rewrites its input, hence the copy.

use super::DecodeError;
use super::json::binary;
use crate::wamp::{Dict, Value};
use simd_json::{Node, StaticNode};

/// Reads one scanned value.
pub(super) fn read(octets: &[u8]) -> Result<Value, DecodeError> {
    let mut copy = octets.to_vec();
    let tape = simd_json::to_tape(&mut copy).map_err(|error| DecodeError::new(format!("JSON: {error}")))?;
    Tree { nodes: tape.0.iter() }.value().ok_or_else(|| DecodeError::new("JSON: unexpected end"))
}

struct Tree<'t, 'i> {
    nodes: std::slice::Iter<'t, Node<'i>>,
}

impl Tree<'_, '_> {
    fn value(&mut self) -> Option<Value> {
        Some(match *self.nodes.next()? {
            Node::Array { len, .. } => Value::List((0..len).map(|_| self.value()).collect::<Option<_>>()?),
            Node::Object { len, .. } => Value::Dict((0..len).map(|_| self.pair()).collect::<Option<Dict>>()?),
            Node::String(text) => match binary(text) {
                Some(octets) => Value::Bin(octets.into()),
                None => Value::from(text),
            },
            Node::Static(StaticNode::Null) => Value::Null,
            Node::Static(StaticNode::Bool(value)) => Value::Bool(value),
            Node::Static(StaticNode::I64(value)) => Value::Int(value),
            Node::Static(StaticNode::U64(value)) => Value::from(value),
            Node::Static(StaticNode::F64(value)) => Value::Float(value),
        })
    }

    fn pair(&mut self) -> Option<(Box<str>, Value)> {
        let Node::String(key) = *self.nodes.next()? else { return None };
        Some((key.into(), self.value()?))
    }
}
