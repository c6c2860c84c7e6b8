//! A reader of HTTP/1 requests that takes no liberties: what it does not know
//! for sure, it does not read. To be compared with what reaches an endpoint.

/// A request as an endpoint must see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
}

/// All whole requests at the beginning of `bytes`.
pub(super) fn requests(bytes: &[u8]) -> Vec<Request> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Some((request, behind)) = request(rest) {
        all.push(request);
        rest = behind;
    }
    all
}

/// One line, without its end; none if that is not just CR LF.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let rest = bytes[end..].strip_prefix(b"\r\n")?;
    Some((&bytes[..end], rest))
}

fn is_token(bytes: &[u8]) -> bool {
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_one)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let all_digits = digits
        .iter()
        .all(|digit| char::from(*digit).is_digit(radix));
    let text = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(text, radix).ok().filter(|_| all_digits)
}

fn request(mut rest: &[u8]) -> Option<(Request, &[u8])> {
    while let Some(behind) = rest.strip_prefix(b"\r\n") {
        rest = behind;
    }
    let (first, mut rest) = line(rest)?;
    let words: Vec<&[u8]> = first.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    let is_target = target.iter().all(u8::is_ascii_graphic) && !target.contains(&b'#');
    if !is_token(method) || !is_target || !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        return None;
    }
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    loop {
        let (field, behind) = line(rest)?;
        rest = behind;
        if field.is_empty() {
            break;
        }
        let colon = field.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
        if !is_token(name) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(number(value, 10)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.push(value);
        }
    }
    let (body, rest) = match (&lengths[..], &codings[..]) {
        ([], []) => (Vec::new(), rest),
        ([length, others @ ..], []) => {
            let length = usize::try_from(*length).ok()?;
            if others.iter().any(|other| *other != lengths[0]) || rest.len() < length {
                return None;
            }
            (rest[..length].to_vec(), &rest[length..])
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && version == b"HTTP/1.1" => {
            chunks(rest)?
        }
        _ => return None,
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    let request = Request {
        method: text(method),
        target: text(target),
        body,
    };
    Some((request, rest))
}

fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        // An extension is any text; its form is not ours to judge.
        let (first, behind) = line(rest)?;
        let digits = first.split(|&byte| byte == b';').next()?;
        let digits = if digits.len() < first.len() {
            digits.trim_ascii_end()
        } else {
            digits
        };
        let size = usize::try_from(number(digits, 16)?).ok()?;
        if size == 0 {
            rest = behind;
            break;
        }
        let chunk = behind.get(..size)?;
        body.extend_from_slice(chunk);
        rest = behind[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let (trailer, behind) = line(rest)?;
        rest = behind;
        if trailer.is_empty() {
            return Some((body, rest));
        }
    }
}
