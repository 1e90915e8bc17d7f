/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbtfgen: finds the BTF for the running kernel in an archive that `btfgen pack` made.
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
 * The functions are those of BCC's libbpf-tools and of bpf-compatible, and some more. btfgen.h has the
 * functions for other loaders. `pkg-config --libs libbtfgen` links libbtfgen.a.
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
 * `opts->btf_custom_path` to its path. Changes nothing if the kernel has its own BTF that the program's libbpf can read, or if
 * `btf_custom_path` is already set.
 *
 * The symbols `_binary_min_core_btfs_tar_gz_start` and `_end` enclose the archive: link the output of
 * `btfgen pack --emit-obj FILE.o`, or of `ld -r -b binary -o FILE.o min_core_btfs.tar.gz`.
 *
 * The path is `/proc/self/fd/N`, a file in memory that is valid in this process until `cleanup_core_btf`. Call
 * `cleanup_core_btf` after the object is loaded. The function reads the environment: `BTFGEN_BTF` names a BTF file to use
 * instead, `BTFGEN_OS_RELEASE` names an os-release file, and `BTFGEN_REQUIRE_CUSTOM` skips the kernel's own BTF. It ignores
 * the environment if the program has more privileges than its caller, and after `core_btf_environment(false)`.
 *
 * Returns 0, or
 * - `-ENOENT`: the archive has no BTF for this kernel;
 * - `-EOPNOTSUPP`: the kernel has no BTF, and no archive is linked;
 * - `-EBADMSG`: the archive is damaged;
 * - `-EINVAL`: `opts` is NULL, or the file that the environment names is not BTF, or the kernel has no BTF of its own and
 *   `opts` is from a libbpf without `btf_custom_path`;
 * - another `-errno`: a file that the environment names, or the kernel's own BTF, cannot be read, or there is no place to
 *   put the BTF.
 *
 * `core_btf_trace` returns details. All functions may be called from any thread, at the same time with different `opts`.
 *
 * # Safety
 * `opts` is NULL or points to options that nobody else uses meanwhile.
 */
int ensure_core_btf(struct bpf_object_open_opts *opts);

/**
 * As `ensure_core_btf`, with an archive of `tar_len` bytes in memory. The archive is not needed after the call.
 *
 * # Safety
 * As for `ensure_core_btf`; and `tar_bin` is NULL or points to `tar_len` bytes.
 */
int ensure_core_btf_tar(struct bpf_object_open_opts *opts,
                        const char *tar_bin,
                        int tar_len);

/**
 * As `ensure_core_btf`, with an archive of `size` bytes in memory. The archive is not needed after the call.
 *
 * # Safety
 * As for `ensure_core_btf`; and `data` is NULL or points to `size` bytes.
 */
int ensure_core_btf_bytes(struct bpf_object_open_opts *opts,
                          const void *data,
                          size_t size);

/**
 * As `ensure_core_btf`, with the archive in a file. The file is read only if the kernel has no BTF of its own.
 *
 * # Safety
 * As for `ensure_core_btf`; and `path` is NULL or a string.
 */
int ensure_core_btf_file(struct bpf_object_open_opts *opts,
                         const char *path);

/**
 * Sets whether later `ensure_…` calls of all threads read the environment; they do by default. After
 * `core_btf_environment(false)` they ignore `BTFGEN_BTF`, `BTFGEN_OS_RELEASE`, `BTFGEN_REQUIRE_CUSTOM` and `TMPDIR`. Call it
 * at the start of a program if the user who sets its environment must not choose what the program makes the kernel read.
 *
 * A program with more privileges than its caller (set-user-ID, set-group-ID, file capabilities) always ignores the
 * environment.
 */
void core_btf_environment(bool on);

/**
 * Returns the steps of this thread's last `ensure_…` call and their outcomes, one step for each line. After a failure, the
 * first line says why. The text is empty before the first call, and never NULL.
 *
 * The text belongs to the library. It is valid until the thread ends or makes its next `ensure_…` call.
 */
const char *core_btf_trace(void);

/**
 * Frees the path that an `ensure_…` call set in `opts->btf_custom_path`, and sets the field to NULL. Does nothing if the
 * path is not from an `ensure_…` call, or if the path or `opts` is NULL. So it may be called twice, and after a failure.
 *
 * # Safety
 * `opts` is NULL or points to options that nobody else uses meanwhile.
 */
void cleanup_core_btf(struct bpf_object_open_opts *opts);

/**
 * Another name of `cleanup_core_btf`.
 *
 * # Safety
 * As for `cleanup_core_btf`.
 */
void clean_core_btf(struct bpf_object_open_opts *opts);

/**
 * Finds the BTF for the running kernel in the archive that is linked into the program, and sets `*path` to its path. The
 * functions of bpf-compatible's header call this function with `&opts->btf_custom_path`.
 *
 * It does not read `*path`, and does not change it after a failure or if the kernel has its own BTF. Otherwise it does the
 * same as `ensure_core_btf`, and returns the same values.
 *
 * # Safety
 * `path` is NULL or points to a pointer that nobody else uses meanwhile.
 */
int ensure_core_btf_with_linked_tar(const char **path);

/**
 * As `ensure_core_btf_with_linked_tar`, with an archive of `tar_len` bytes in memory. The archive is not needed after the
 * call.
 *
 * # Safety
 * As for `ensure_core_btf_with_linked_tar`; and `tar_bin` is NULL or points to `tar_len` bytes.
 */
int ensure_core_btf_with_tar_binary(const char **path,
                                    const char *tar_bin,
                                    int tar_len);

/**
 * Frees a path that `ensure_core_btf_with_linked_tar` or `ensure_core_btf_with_tar_binary` set, and its file. Does nothing
 * for NULL, for other paths, and for a path that is already freed.
 */
void clean_core_btf_rs(const char *path);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BTF_HELPERS_H */
