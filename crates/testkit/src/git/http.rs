//! Git over HTTP: `git http-backend`, the CGI that web servers run for it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiny_http::{
    ConfigListenAddr, Header, Request, Response, Server, ServerConfig, SslConfig, StatusCode,
};

use super::{Certificate, isolate};

/// The one login that a server takes that wants one: user and password.
pub const LOGIN: (&str, &str) = ("me", "secret");

/// The same as RFC 7617 writes it.
const AUTHORIZATION: &str = "Basic bWU6c2VjcmV0";

/// What is no repository, and nothing that looks like one.
const PAGE: &str = "<!DOCTYPE html>\n<html>\n<title>Kernels</title>\n<p>All of them!\n</html>\n";

/// A running web server, with the repositories of a folder as `/NAME` and a page that is no repository as `/page`.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    running: Option<Running>,
    site: Site,
    certificate: Option<SslConfig>,
}

#[derive(Debug, Clone)]
struct Site {
    folder: PathBuf,
    wants_login: bool,
    old_protocol: bool,
}

struct Running {
    server: Arc<Server>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl HttpServer {
    /// A server for the repositories in a folder, not started yet.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            running: None,
            site: Site {
                folder: folder.to_owned(),
                wants_login: false,
                old_protocol: false,
            },
            certificate: None,
        }
    }

    /// Has it answer nobody without [`LOGIN`].
    #[must_use]
    pub fn with_login(mut self) -> Self {
        self.site.wants_login = true;
        self
    }

    /// Has it speak the first version of git's protocol only.
    #[must_use]
    pub fn with_old_protocol(mut self) -> Self {
        self.site.old_protocol = true;
        self
    }

    /// Has it speak HTTPS.
    #[must_use]
    pub fn with_certificate(mut self, certificate: &Certificate) -> Self {
        let (certificate, private_key) = certificate.pem();
        self.certificate = Some(SslConfig {
            certificate,
            private_key,
        });
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// Panics if there is no port.
    #[must_use]
    pub fn start(mut self) -> Self {
        let server = Server::new(ServerConfig {
            addr: ConfigListenAddr::IP(vec![self.address]),
            ssl: self.certificate.take(),
        });
        let server = Arc::new(server.expect("a free port"));
        self.address = server.server_addr().to_ip().expect("it is no socket file");
        let (asked, site) = (Arc::clone(&server), self.site.clone());
        let thread = thread::spawn(move || {
            for request in asked.incoming_requests() {
                let site = site.clone();
                thread::spawn(move || site.answer(request));
            }
        });
        self.running = Some(Running { server, thread });
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(Running { server, thread }) = self.running.take() {
            server.unblock();
            let _ = thread.join();
        }
    }
}

impl Site {
    fn answer(&self, mut request: Request) {
        let login = header(&request, "Authorization");
        if self.wants_login && login.as_deref() != Some(AUTHORIZATION) {
            let wanted = "WWW-Authenticate: Basic realm=\"kernels\"";
            let response =
                Response::empty(401).with_header(wanted.parse::<Header>().expect("a header"));
            let _ = request.respond(response);
            return;
        }
        // A client that uses the server as a proxy also sends the host.
        let url = request.url().to_owned();
        let path = url.split_once("://").map_or(&*url, |(_, rest)| {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        });
        if path.starts_with("/page") {
            let _ = request.respond(Response::from_string(PAGE));
            return;
        }
        let mut body = Vec::new();
        if request.as_reader().read_to_end(&mut body).is_err() {
            return;
        }
        let mut child = self.backend(&request, path, body.len());
        let mut stdin = child.stdin.take().expect("it is piped");
        let feeder = thread::spawn(move || stdin.write_all(&body));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (status, headers) = head(&mut stdout);
        // In some tests the client closes the connection in the middle.
        let _ = request.respond(Response::new(status, headers, stdout, None, None));
        let _ = feeder.join();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// The variables are those of git-http-backend(1) and RFC 3875.
    fn backend(&self, request: &Request, path: &str, length: usize) -> Child {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut command = Command::new("git");
        isolate(&mut command, &self.folder);
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", request.method().as_str())
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_LENGTH", length.to_string())
            .env("REMOTE_ADDR", "127.0.0.1");
        let mut pass = |name: &'static str, variable: &str| {
            if let Some(value) = header(request, name) {
                command.env(variable, value);
            }
        };
        pass("Content-Type", "CONTENT_TYPE");
        pass("Content-Encoding", "HTTP_CONTENT_ENCODING");
        if !self.old_protocol {
            pass("Git-Protocol", "GIT_PROTOCOL");
        }
        if self.wants_login {
            command.env("REMOTE_USER", LOGIN.0);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git can be run; scripts/setup installs it")
    }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let mut headers = request.headers().iter();
    let header = headers.find(|h| h.field.equiv(name))?;
    Some(header.value.to_string())
}

/// What a CGI says before the content.
fn head(from: &mut impl std::io::BufRead) -> (StatusCode, Vec<Header>) {
    let (mut status, mut headers) = (StatusCode(200), Vec::new());
    let lines = from.lines().map_while(Result::ok);
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(code) = line.strip_prefix("Status: ") {
            let number = code.split(' ').next().and_then(|n| n.parse().ok());
            status = StatusCode(number.expect("a status has a number"));
        } else if let Ok(header) = line.parse() {
            headers.push(header);
        }
    }
    (status, headers)
}
