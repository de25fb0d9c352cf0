//! A client that costs little, so that the server is what is measured.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const CONNECTIONS: usize = 32;

/// Connections that send one request after the other.
#[derive(Clone)]
pub struct Load {
    port: u16,
    connections: usize,
    /// What each connection asks for, the connections taking them in turn.
    requests: Vec<String>,
}

pub struct Outcome {
    pub requests: usize,
    pub rate: f64,
    pub p99: Duration,
}

impl Load {
    pub fn get(port: u16) -> Self {
        Self::get_of("/tasks", port)
    }

    /// One request after the other: none waits for another, so that none is answered together with another.
    pub fn get_alone(port: u16) -> Self {
        Self {
            connections: 1,
            ..Self::get(port)
        }
    }

    /// Asks for a page, which the service reads for each request, where it reads the plain list for all that wait for it.
    pub fn get_page(port: u16) -> Self {
        Self::get_of("/tasks?limit=999", port)
    }

    fn get_of(target: &str, port: u16) -> Self {
        Self {
            port,
            connections: CONNECTIONS,
            requests: vec![format!("GET {target} HTTP/1.1\r\nhost: bench\r\n\r\n")],
        }
    }

    pub fn post(port: u16) -> Self {
        Self {
            port,
            connections: CONNECTIONS,
            requests: vec![write("POST /tasks")],
        }
    }

    /// Writes that nobody can share: each connection has a task of its own. The first of them must be there.
    pub fn put(port: u16) -> Self {
        Self {
            port,
            connections: CONNECTIONS,
            requests: (1..=CONNECTIONS)
                .map(|id| write(&format!("PUT /tasks/{id}")))
                .collect(),
        }
    }

    pub async fn run(&self, time: Duration) -> Outcome {
        let load = self.clone();
        tokio::task::spawn_blocking(move || load.run_here(time))
            .await
            .unwrap()
    }

    /// On one thread: with more they would wake each other.
    fn run_here(&self, time: Duration) -> Outcome {
        let started = Instant::now();
        let requests = self.requests.iter().cycle().take(self.connections);
        let connections = requests.map(|request| self.one_connection(request, started + time));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut times = runtime.block_on(futures::future::join_all(connections)).concat();
        let rate = times.len() as f64 / started.elapsed().as_secs_f64();
        times.sort_unstable();
        let p99 = times[times.len() * 99 / 100];
        Outcome {
            requests: times.len(),
            rate,
            p99,
        }
    }

    async fn one_connection(&self, request: &str, end: Instant) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut connection = self.connect().await;
        while Instant::now() < end {
            let started = Instant::now();
            connection.write_all(request.as_bytes()).await.unwrap();
            let goes_on = read_answer(&mut connection, &mut buffer).await;
            times.push(started.elapsed());
            if !goes_on {
                connection = self.connect().await;
            }
        }
        times
    }

    async fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        connection.set_nodelay(true).unwrap();
        connection
    }
}

fn write(method_and_target: &str) -> String {
    let body = r#"{"task":"Buy milk"}"#;
    let head = format!("{method_and_target} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads one answer, which must be a success; says whether the connection stays open.
async fn read_answer(connection: &mut TcpStream, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    loop {
        let read = connection.read(&mut buffer[filled..]).await.unwrap();
        assert_ne!(read, 0, "the server hung up");
        filled += read;
        let Some(end) = buffer[..filled]
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
        else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{head}");
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let length: usize = field("content-length").unwrap().parse().unwrap();
        let stays = field("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
        let total = end + 4 + length;
        while filled < total {
            let read = connection.read(&mut buffer[filled..]).await.unwrap();
            assert_ne!(read, 0, "the server hung up");
            filled += read;
        }
        return stays;
    }
}
