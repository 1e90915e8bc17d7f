// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: remove .BTF.ext
// An object with .BTF whose .BTF.ext was stripped.
#include "fields.bpf.c"
