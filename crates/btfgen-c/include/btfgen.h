/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbtfgen for every loader: finds the BTF for the running kernel in an archive that `btfgen pack` made, as a path or as bytes.
 * Programs that load with libbpf may use btf_helpers.h instead.
 *
 *     struct btfgen_find_opts opts = { .sz = sizeof(opts), .archive = archive, .archive_size = archive_size };
 *     struct btfgen_btf *btf;
 *     const void *data;
 *     size_t size;
 *
 *     if (btfgen_find(&opts, &btf) || btfgen_bytes(btf, &data, &size))
 *             fprintf(stderr, "%s; steps tried:\n%s\n", btfgen_error(btf), btfgen_steps(btf));
 *     else
 *             err = load(data, size);
 *     btfgen_free(btf);
 *
 * `pkg-config --libs libbtfgen` links libbtfgen.a.
 *
 * Generated from the library's source.
 */

#ifndef BTFGEN_H
#define BTFGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The result of `btfgen_find`: the BTF for a kernel, or why there is none. `btfgen_free` frees it.
 */
struct btfgen_btf;

/**
 * Where a BTF is from.
 */
enum btfgen_origin {
  /**
   * The lookup failed.
   */
  BTFGEN_ORIGIN_NONE = 0,
  /**
   * The kernel has its own BTF.
   */
  BTFGEN_ORIGIN_KERNEL = 1,
  /**
   * A file that the options or the environment name, or a vmlinux on disk.
   */
  BTFGEN_ORIGIN_FILE = 2,
  /**
   * An entry of the archive.
   */
  BTFGEN_ORIGIN_ARCHIVE = 3,
};

/**
 * What to look for, and where. All fields but `sz` may be 0 or NULL.
 *
 * Set `sz` to `sizeof(struct btfgen_find_opts)`. Later versions of the library only add fields at the end, and 0 means that a
 * field is not set. So the library accepts options of an older header, and of a newer one if its new fields are 0.
 */
struct btfgen_find_opts {
  /**
   * The size of this struct in bytes.
   */
  size_t sz;
  /**
   * The archive in memory, of `archive_size` bytes. If neither `archive` nor `archive_file` is set, the library uses the archive
   * that is linked into the program, if there is one: see `ensure_core_btf` in `btf_helpers.h`.
   */
  const void *archive;
  /**
   * The size of `archive` in bytes.
   */
  size_t archive_size;
  /**
   * The path of an archive's file, instead of `archive`.
   */
  const char *archive_file;
  /**
   * The path of a BTF, or of an ELF file with BTF, to use instead of any other.
   */
  const char *btf_file;
  /**
   * The path of the os-release file, instead of the host's.
   */
  const char *os_release;
  /**
   * Another kernel than the running one: the output of `uname -r`. The lookup then skips this kernel's own BTF.
   */
  const char *release;
  /**
   * Another architecture than this machine's: the output of `uname -m`. The lookup then skips this kernel's own BTF.
   */
  const char *arch;
  /**
   * The loader that must be able to read the kernel's own BTF, with its version: `libbpf:1.2`, `cilium:0.11` (cilium/ebpf) or
   * `aya:0.13`. If it cannot, the lookup goes on to the archive. Without a name, the kernel's own BTF is taken if all
   * versions of these loaders since 2022 can read it, or if the archive has no BTF for this kernel. Versions before libbpf 1.0,
   * cilium/ebpf 0.10 and aya 0.12 refuse the BTF of Linux 6.0 and later.
   */
  const char *loader;
  /**
   * Whether to skip the kernel's own BTF, also of a vmlinux on disk: for tests, and for kernels with broken BTF.
   */
  bool require_custom;
  /**
   * Whether to ignore the environment, as after `core_btf_environment(false)`: the variables `BTFGEN_BTF`,
   * `BTFGEN_OS_RELEASE`, `BTFGEN_REQUIRE_CUSTOM` and `TMPDIR`. Without it, the library reads the environment, unless the program
   * has more privileges than its caller (set-user-ID, set-group-ID, file capabilities).
   */
  bool no_environment;
  /**
   * Whether to read the archive's facts, too, for `btfgen_fact`. The library then also reads the archive if it takes another BTF.
   */
  bool facts;
  /**
   * Must be 0.
   */
  uint8_t reserved[5];
  /**
   * Another build of the kernel than the running one: the build id in its `/sys/kernel/notes`, as hexadecimal digits. The lookup
   * then skips this kernel's own BTF. Without it, the build of another `release` or `arch` is unknown.
   */
  const char *build_id;
};

/**
 * A kernel's answer to a fact that `btfgen pack --fact` put into the archive.
 *
 * Set `sz` to `sizeof(struct btfgen_fact)` before `btfgen_fact`. Later versions of the library only add fields at the end. The library
 * sets the fields that it knows, and the others to 0.
 */
struct btfgen_fact {
  /**
   * The size of this struct in bytes.
   */
  size_t sz;
  /**
   * The offset of a member in bytes, a size in bytes, the value of a name of an enum, or the number of a function's parameters.
   */
  int64_t value;
  /**
   * The size of a member in bytes; 0 for a flexible array, and for other facts.
   */
  uint32_t size;
  /**
   * Of a bitfield: its first bit, counted from the byte at the offset as BTF does. That is the least significant bit of the
   * byte on little-endian kernels, and the most significant one on big-endian kernels.
   */
  uint32_t bit;
  /**
   * The width of a bitfield in bits; 0 for other members and facts.
   */
  uint32_t bits;
  /**
   * Which question of the fact this is the answer to: 0 for the first one, 1 for the first fallback.
   */
  uint32_t question;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Finds the BTF for the running kernel. `opts` may be NULL.
 *
 * Sets `*out`, also after a failure: then `btfgen_error` and `btfgen_steps` say why. Free it with `btfgen_free`. The options
 * and what they point to are not needed after the call.
 *
 * Returns 0, or
 * - `-ENOENT`: the archive has no BTF for this kernel or only that of another build, and the kernel has none that the loader
 *   can read;
 * - `-EOPNOTSUPP`: the kernel has no BTF, and there is no archive;
 * - `-EBADMSG`: the archive is damaged;
 * - `-EINVAL`: `out` is NULL (then nothing is set), or the options make no sense, or a named file is not BTF;
 * - another `-errno`: a named file, or the kernel's own BTF, cannot be read.
 *
 * All functions may be called from any thread, but a `struct btfgen_btf` only from one thread at a time.
 *
 * # Safety
 * `opts` is NULL or points to `opts->sz` bytes, its pointers are NULL or point to strings and to `archive_size` bytes. `out` is
 * NULL or points to a pointer that nobody else uses meanwhile.
 */
int btfgen_find(const struct btfgen_find_opts *opts,
                struct btfgen_btf **out);

/**
 * Sets `*path` to a path of the BTF, for a loader that takes a path; to NULL for the kernel's own BTF, which loaders find by
 * themselves.
 *
 * For an entry of the archive, the path is `/proc/self/fd/N`, a file in memory that is valid in this process. For a file, it is the
 * path of that file, which may be an ELF file. The string and the file in memory are valid until `btfgen_free`.
 *
 * Returns 0; `-EINVAL` if an argument is NULL; the result of `btfgen_find` if that failed; or another `-errno` if there is no
 * place to put the BTF. After a failure `*path` is as it was.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`, and `path` is NULL or points to a pointer. Nobody else uses either meanwhile.
 */
int btfgen_path(struct btfgen_btf *btf,
                const char **path);

/**
 * Sets `*data` and `*size` to the BTF, for a loader that takes bytes: an entry of the archive, the content of a file (of an ELF file
 * its section `.BTF`), or the kernel's own BTF. The bytes are valid until `btfgen_free`.
 *
 * Returns 0; `-EINVAL` if an argument is NULL; the result of `btfgen_find` if that failed; or another `-errno` if the file cannot
 * be read. After a failure `*data` and `*size` are as they were.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`, and `data` and `size` are NULL or point to values. Nobody else uses them meanwhile.
 */
int btfgen_bytes(struct btfgen_btf *btf,
                 const void **data,
                 size_t *size);

/**
 * Sets `*names` to the names of the programs that a loader cannot load on this kernel, because they need the kernel's own BTF,
 * whatever path the loader gets: fentry, fexit, `fmod_ret`, `tp_btf`, LSM, iterators, `struct_ops`. Switch them off before you load
 * the object, because libbpf otherwise loads nothing of it:
 *
 *     for (; *names; names++)
 *             bpf_program__set_autoload(bpf_object__find_program_by_name(obj, *names), false);
 *
 * `object` is the object's ELF file in memory, of `object_size` bytes; of a skeleton, `NAME__elf_bytes` gives it. It is not
 * needed after the call. `*names` ends with NULL, and is empty if the loader can use the kernel's own BTF. The array and its
 * strings are valid until the next call of this function with `btf`, or `btfgen_free`.
 *
 * If the lookup was for another host or had to skip the kernel's own BTF, the kernel counts as one without it.
 *
 * Returns 0, or
 * - `-EOPNOTSUPP`: libbpf cannot load the object on this kernel, whichever programs are switched off: it has a kfunc or another
 *   typed `__ksym`, or a table in `.struct_ops`. `btfgen_error` says which, and `*names` is set;
 * - `-EINVAL`: an argument is NULL, or the bytes are not a BPF object;
 * - the result of `btfgen_find` if that failed;
 * - another `-errno`: the kernel's own BTF cannot be read.
 *
 * After all failures but the first, `*names` is as it was.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`, `object` is NULL or points to `object_size` bytes, and `names` is NULL or points to a
 * pointer. Nobody else uses `btf` and `names` meanwhile.
 */
int btfgen_unloadable(struct btfgen_btf *btf,
                      const void *object,
                      size_t object_size,
                      const char *const **names);

/**
 * Sets `*fact` to the kernel's answer to a fact that `btfgen pack --fact` put into the archive. `name` is the fact's name:
 * `task_struct_pid` for `task_struct.pid`. `btfgen_find` must have had `facts` in its options.
 *
 *     struct btfgen_fact pid = { .sz = sizeof(pid) };
 *
 *     if (!btfgen_fact(btf, "task_struct_pid", &pid))
 *             printf("task_struct.pid is at byte %lld\n", (long long)pid.value);
 *
 * If the BTF is the archive's entry, the answer is the archive's. Otherwise the BTF itself is asked: the kernel's own, or the file. The
 * first call reads it.
 *
 * Returns 0, or
 * - `-ENOENT`: the kernel does not have it; `btfgen_error` says what is missing;
 * - `-ENOTUNIQ`: the kernel has several types or functions of this name, and they answer differently;
 * - `-ENODATA`: it asks for a function, and the kernel's BTF has no functions at all;
 * - `-ESRCH`: the archive has no fact of this name, or `btfgen_find` was not asked for facts;
 * - `-EINVAL`: an argument is NULL, `name` is not UTF-8, `sz` makes no sense, or the file is no BTF;
 * - the result of `btfgen_find` if that failed;
 * - another `-errno`: the BTF cannot be read.
 *
 * After a failure `*fact` is as it was.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`, `name` is NULL or a string, and `fact` is NULL or points to `fact->sz` bytes. Nobody else
 * uses `btf` and `fact` meanwhile.
 */
int btfgen_fact(struct btfgen_btf *btf,
                const char *name,
                struct btfgen_fact *fact);

/**
 * Returns where the BTF is from.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`.
 */
enum btfgen_origin btfgen_origin(const struct btfgen_btf *btf);

/**
 * Returns the name of the archive's entry, `ID/VERSION/ARCH/RELEASE`, or NULL if the BTF is not from an archive. The string is
 * valid until `btfgen_free`.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`.
 */
const char *btfgen_kernel(const struct btfgen_btf *btf);

/**
 * Returns the steps of the lookup and their outcomes, one step for each line. It is empty if no step was tried, and never NULL.
 * The string is valid until `btfgen_free`.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`.
 */
const char *btfgen_steps(const struct btfgen_btf *btf);

/**
 * Returns in one line why the last call with `btf` failed. It is empty if no call failed, and never NULL. The string is valid
 * until the next call with `btf` that fails, or `btfgen_free`.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`.
 */
const char *btfgen_error(const struct btfgen_btf *btf);

/**
 * Frees the result of `btfgen_find`, with its path, its bytes and its strings. Does nothing for NULL.
 *
 * # Safety
 * `btf` is NULL or from `btfgen_find`, and not yet freed.
 */
void btfgen_free(struct btfgen_btf *btf);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BTFGEN_H */
