/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbtfgen: the BTF for the running kernel, out of an archive that `btfgen pack` made.
 *
 *     LIBBPF_OPTS(bpf_object_open_opts, opts);
 *
 *     if (ensure_core_btf(&opts))
 *             fprintf(stderr, "%s\n", core_btf_trace());
 *     skel = app_bpf__open_opts(&opts);
 *     if (skel)
 *             err = app_bpf__load(skel);
 *     cleanup_core_btf(&opts);
 *
 * The calls are those of BCC's libbpf-tools and of bpf-compatible, and some more. Link with `pkg-config --libs libbtfgen`; add
 * `--static` for libbtfgen.a.
 *
 * Generated from the library's source.
 */

#ifndef BTF_HELPERS_H
#define BTF_HELPERS_H

#include <stdbool.h>
#include <stddef.h>
#include <bpf/libbpf.h>

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Finds the BTF for the running kernel in the archive that is linked into the program, and sets
 * `opts->btf_custom_path` to it. Where the kernel has BTF of its own, and where `btf_custom_path` is set already, nothing
 * is changed.
 *
 * The archive is what the symbols `_binary_min_core_btfs_tar_gz_start` and `_end` enclose: link what
 * `btfgen pack --emit-obj FILE.o` writes, or `ld -r -b binary -o FILE.o min_core_btfs.tar.gz`.
 *
 * The file is in memory, `/proc/self/fd/N`, good within this process until `cleanup_core_btf`; call that after
 * the object is loaded. The environment has a say: `BTFGEN_BTF` names a BTF file to take instead,
 * `BTFGEN_OS_RELEASE` an os-release file, and `BTFGEN_REQUIRE_CUSTOM` has the kernel's own BTF passed over. It is not asked
 * where the program has more privileges than its caller, nor after `core_btf_environment(false)`.
 *
 * Returns 0, or
 * - `-ENOENT`: the archive has no BTF for this kernel;
 * - `-EOPNOTSUPP`: the kernel has no BTF, and no archive is linked;
 * - `-EBADMSG`: the archive is damaged;
 * - `-EINVAL`: `opts` is NULL, or what the environment names is no BTF; or the kernel has no BTF of its own, and `opts` is
 *   from a libbpf without `btf_custom_path`;
 * - another `-errno`: a file that the environment names, or the kernel's own BTF, cannot be read, or there is nowhere to put
 *   the BTF.
 *
 * `core_btf_trace` tells more. All calls may be made from any thread, with different `opts` at the same time.
 *
 * # Safety
 * `opts` is NULL or points to options that nobody else uses meanwhile.
 */
int ensure_core_btf(struct bpf_object_open_opts *opts);

/**
 * As `ensure_core_btf`, with an archive of `tar_len` bytes in memory. It is not needed after the call.
 *
 * # Safety
 * As for `ensure_core_btf`; and `tar_bin` is NULL or points to `tar_len` bytes.
 */
int ensure_core_btf_tar(struct bpf_object_open_opts *opts,
                        const char *tar_bin,
                        int tar_len);

/**
 * As `ensure_core_btf`, with an archive of `size` bytes in memory. It is not needed after the call.
 *
 * # Safety
 * As for `ensure_core_btf`; and `data` is NULL or points to `size` bytes.
 */
int ensure_core_btf_bytes(struct bpf_object_open_opts *opts, const void *data, size_t size);

/**
 * As `ensure_core_btf`, with the archive in a file, which is only read if the kernel has no BTF of its own.
 *
 * # Safety
 * As for `ensure_core_btf`; and `path` is NULL or a string.
 */
int ensure_core_btf_file(struct bpf_object_open_opts *opts,
                         const char *path);

/**
 * Whether the environment has a say in the `ensure_…` calls that follow, in all threads; it has by default. After
 * `core_btf_environment(false)` they ask no variable: neither `BTFGEN_BTF`, `BTFGEN_OS_RELEASE` and
 * `BTFGEN_REQUIRE_CUSTOM` nor `TMPDIR`. Call it at the start of a program in which the one who sets the environment must not
 * choose what the kernel is told to read.
 *
 * A program with more privileges than its caller (set-user-ID, set-group-ID, file capabilities) never asks the environment,
 * whatever is said here.
 */
void core_btf_environment(bool on);

/**
 * What the last `ensure_…` call of this thread tried and what came of it, one step a line; after a failure, the first
 * line says why. Empty before the first call, never NULL.
 *
 * The text belongs to the library; it is good until the thread ends or makes its next `ensure_…` call.
 */
const char *core_btf_trace(void);

/**
 * Frees what an `ensure_…` call set in `opts->btf_custom_path`, and sets that to NULL. A path that is not from such a call,
 * NULL, and `opts` being NULL are all left alone: it may be called twice, and after a failure.
 *
 * # Safety
 * `opts` is NULL or points to options that nobody else uses meanwhile.
 */
void cleanup_core_btf(struct bpf_object_open_opts *opts);

/**
 * The other name of `cleanup_core_btf`.
 *
 * # Safety
 * That of `cleanup_core_btf`.
 */
void clean_core_btf(struct bpf_object_open_opts *opts);

/**
 * Finds the BTF for the running kernel in the archive that is linked into the program, and sets `*path` to its path. The
 * functions of bpf-compatible's header call it, with `&opts->btf_custom_path`.
 *
 * Where the kernel has BTF of its own, and after a failure, `*path` is left as it is; it is never read. Otherwise this is
 * `ensure_core_btf`. Returns what that returns.
 *
 * # Safety
 * `path` is NULL or points to a pointer that nobody else uses meanwhile.
 */
int ensure_core_btf_with_linked_tar(const char **path);

/**
 * As `ensure_core_btf_with_linked_tar`, with an archive of `tar_len` bytes in memory. It is not needed after the call.
 *
 * # Safety
 * As for `ensure_core_btf_with_linked_tar`; and `tar_bin` is NULL or points to `tar_len` bytes.
 */
int ensure_core_btf_with_tar_binary(const char **path,
                                    const char *tar_bin,
                                    int tar_len);

/**
 * Frees a path that one of the two calls above set, and what it leads to. NULL, and a path that is from no such call or
 * freed already, are left alone.
 */
void clean_core_btf_rs(const char *path);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BTF_HELPERS_H */
