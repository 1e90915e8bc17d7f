//! Leaves out kernels of another byte order: libbpf loads an object only on kernels of the object's (`LIBBPF_ERRNO__ENDIAN`).

use btfgen_archive::Architecture;
use btfgen_btf::{Btf, ByteOrder};
use btfgen_hub::{Error, ErrorKind, HubKernel};

use crate::byte_orders::ByteOrders;
use crate::needs::Needs;

/// The kernels on which libbpf can load one of the objects, and errors for the others. A kernel that cannot be read counts as
/// one of the first.
pub(crate) fn loadable<'h>(
    needs: &Needs,
    kernels: Vec<&'h HubKernel>,
    max_btf_bytes: u64,
) -> (Vec<&'h HubKernel>, Vec<Error>) {
    let mut orders = ByteOrders::default();
    for object in needs.objects() {
        orders.add(object.btf().byte_order());
    }
    if needs.objects().is_empty() || orders == ByteOrders::BOTH {
        return (kernels, Vec::new());
    }
    let mut others = Vec::new();
    let (loadable, refused) = kernels.into_iter().partition(|kernel| {
        let order = byte_order(kernel, max_btf_bytes);
        order.is_none_or(|order| orders.has(order))
    });
    let refused: Vec<&HubKernel> = refused;
    for kernel in refused {
        let (own, objects, target) = match orders.has(ByteOrder::Little) {
            true => ("big", "little", "bpfeb"),
            false => ("little", "big", "bpfel"),
        };
        let message = format!(
            "the kernel is {own}-endian and all objects are {objects}-endian, so libbpf refuses to load them (LIBBPF_ERRNO__ENDIAN)"
        );
        let error = Error::new(ErrorKind::Refused, kernel.path().display(), message);
        others.push(error.with_kernel(kernel.id()).with_help(format!(
            "also compile the objects with `clang -target {target}`, and give both; or select the kernels"
        )));
    }
    (loadable, others)
}

/// A kernel's byte order by its architecture, or by its BTF if machines of both byte orders have the architecture's name. `None`
/// if the BTF cannot be read.
fn byte_order(kernel: &HubKernel, max_btf_bytes: u64) -> Option<ByteOrder> {
    let arch = Architecture::named(kernel.id().arch());
    if let Some(is_little) = arch.and_then(Architecture::is_little_endian) {
        return Some(match is_little {
            true => ByteOrder::Little,
            false => ByteOrder::Big,
        });
    }
    let btf = kernel.read(max_btf_bytes).ok()?;
    Some(Btf::parse(btf.as_slice()).ok()?.byte_order())
}
