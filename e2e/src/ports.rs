//! Ports for programs that are told where to listen.

use std::io;
use std::net::TcpListener;

/// Ports of this machine on which nobody listens now, no two of them the same.
pub fn free_ports<const COUNT: usize>() -> io::Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    let mut held = Vec::with_capacity(COUNT); // what is let go may be given again at once
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
