//! HTTPS, with a certificate that is trusted only where it is named.

use std::fs;

use btfgen_testkit::git::{Certificate, HttpServer, Relay, Repository, kernel_file};
use btfgen_testkit::skipped;

use crate::suite::fetch::{BOTH, Ground, assert_same, files, kernels, url};
use crate::suite::run;

const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";

/// A repository, its server and the server's certificate.
fn served(ground: &Ground) -> Option<(Repository, HttpServer, Certificate)> {
    let Some(certificate) = Certificate::new(&ground.path("home")) else {
        skipped("openssl is not installed");
        return None;
    };
    let repository = ground.repository("kernels");
    repository.put(FOCAL, kernel_file(1, 200_000));
    repository.commit();
    let https = ground.http().with_certificate(&certificate).start();
    Some((repository, https, certificate))
}

/// Check that a certificate of nobody's is an error that says how to trust it, and that nothing is made.
#[test]
fn untrusted_certificates() {
    for git in BOTH {
        let ground = Ground::new();
        let Some((_, https, _)) = served(&ground) else {
            return;
        };
        let url = url("https", https.address(), "kernels");
        let pieces = [
            &*url,
            "certificate",
            "help: if you trust the server",
            "SSL_CERT_FILE",
        ];
        run(&mut ground.fetch(git, &url), 1, &pieces);
        run(ground.fetch(git, &url).arg("--dry-run"), 1, &pieces);
        assert!(!ground.hub().exists());
    }
}

/// Check that the help is right: with the certificate named, kernels come.
#[test]
fn trusted_certificates() {
    for git in BOTH {
        let ground = Ground::new();
        let Some((repository, https, certificate)) = served(&ground) else {
            return;
        };
        let url = url("https", https.address(), "kernels");
        run(
            ground
                .fetch(git, &url)
                .env("SSL_CERT_FILE", certificate.path()),
            0,
            &[],
        );
        assert_same(&files(&ground.hub()), &kernels(&repository));
    }
}

/// Check that a proxy is asked to connect to a host that only it knows, as curl and git name it: in small and in capital
/// letters.
#[test]
fn through_a_proxy() {
    for git in BOTH {
        let ground = Ground::new();
        let Some((repository, https, certificate)) = served(&ground) else {
            return;
        };
        let proxy = Relay::proxy_to(https.address());
        for variable in ["https_proxy", "HTTPS_PROXY"] {
            let mut command = ground.fetch(git, "https://btfs.invalid/kernels");
            command.env(variable, format!("http://{}", proxy.address()));
            command.env("SSL_CERT_FILE", certificate.path());
            run(&mut command, 0, &[]);
            assert_same(&files(&ground.hub()), &kernels(&repository));
            fs::remove_dir_all(ground.hub()).unwrap();
        }
        assert!(proxy.sent() > 0);
    }
}
