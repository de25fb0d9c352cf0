//! Protocol Buffers, as far as spans need them: fields appended to bytes, without a value in between. A busy service
//! writes tens of thousands of spans a second.

/// How the value of a field is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
}

pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, Wire::Varint);
    varint(out, value);
}

pub(crate) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, Wire::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Bytes, or a text.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    delimited(out, field, value.len());
    out.extend_from_slice(value);
}

/// A message within the message.
pub(crate) fn message(out: &mut Vec<u8>, field: u32, fields: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, Wire::Delimited);
    // The length belongs before the content, and is known only afterwards: nearly always one byte is enough for it.
    let start = out.len();
    out.push(0);
    fields(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
    } else {
        out.remove(start);
        let content = out.len();
        varint(out, length as u64);
        let width = out.len() - content;
        out[start..].rotate_right(width);
    }
}

/// What stands before so many bytes of a field.
pub(crate) fn delimited(out: &mut Vec<u8>, field: u32, length: usize) {
    tag(out, field, Wire::Delimited);
    varint(out, length as u64);
}

fn tag(out: &mut Vec<u8>, field: u32, wire: Wire) {
    varint(out, u64::from(field << 3 | wire as u32));
}

/// Seven bits a byte, the least first; the eighth says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
