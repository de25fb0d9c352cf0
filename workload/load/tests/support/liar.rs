//! A service that answers at once and with the right code, but not always with the truth.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What it says to each method; tasks that are added get ids that nobody else has.
#[derive(Clone, Copy)]
pub struct Liar {
    pub get: &'static str,
    pub post: &'static str,
    pub put: &'static str,
    pub delete: &'static str,
}

/// True as long as nobody has added a task.
pub const HONEST: Liar = Liar {
    get: "[]",
    post: r#"{"message":"Task added"}"#,
    put: r#"{"message":"Task updated"}"#,
    delete: r#"{"message":"Task deleted"}"#,
};

pub struct Listening {
    pub url: String,
    connections: Arc<AtomicUsize>,
}

impl Listening {
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Liar {
    pub fn listen(self) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, next) = (Arc::clone(&connections), Arc::new(AtomicUsize::new(1)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let next = Arc::clone(&next);
                std::thread::spawn(move || self.converse(stream, &next));
            }
        });
        Listening { url, connections }
    }

    /// Answers on one connection until the client hangs up.
    fn converse(self, stream: TcpStream, next: &AtomicUsize) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if reader.read_until(b'\n', &mut head).ok()? == 0 {
                    return None;
                }
            }
            let head = String::from_utf8(head).ok()?.to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: u64 = length.map_or(Some(0), |length| length.parse().ok())?;
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
            let (status, body) = match head.split_whitespace().next()? {
                "get" => (200, self.get),
                "post" => (201, self.post),
                "put" => (200, self.put),
                _ => (200, self.delete),
            };
            let id = next.fetch_add(1, Ordering::Relaxed);
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nlocation: /tasks/{id}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .ok()?;
        }
    }
}
