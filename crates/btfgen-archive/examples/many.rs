//! Writes an archive for measurements: `many KERNELS OUT.tar.gz ID/VERSION/ARCH/RELEASE`. The last argument names one more
//! kernel.
//!
//! All contents are different and have 16 KiB.

#[path = "../benches/many/mod.rs"]
mod many;

use std::error::Error;
use std::fs::File;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kernels, out, kernel] = &arguments[..] else {
        return Err("usage: many KERNELS OUT.tar.gz ID/VERSION/ARCH/RELEASE".into());
    };
    let kernels = kernels.parse()?;
    let builder = many::builder(kernels, kernels);
    let builder = builder.add(kernel.parse()?, many::content(kernels))?;
    builder.write(File::create(out)?)?;
    Ok(())
}
