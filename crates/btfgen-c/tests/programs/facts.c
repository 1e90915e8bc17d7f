// SPDX-License-Identifier: BSD-2-Clause
/* facts ARCHIVE NAME...: prints for each fact the result, and the answer or the error. */
#include <errno.h>
#include <string.h>

#include "btfgen.h"
#include "check.h"

/* A later version of the header: the library must set what it does not know to 0. */
struct later {
	struct btfgen_fact fact;
	int more;
};

static void misuse(struct btfgen_btf *btf, const char *name)
{
	struct btfgen_fact fact = { .sz = sizeof(fact) - 1, .value = 7 };
	struct later later = { .fact.sz = sizeof(later), .more = 7 };

	CHECK(btfgen_fact(btf, name, &fact) == -EINVAL);
	fact.sz = sizeof(fact);
	CHECK(btfgen_fact(NULL, name, &fact) == -EINVAL);
	CHECK(btfgen_fact(btf, NULL, &fact) == -EINVAL);
	CHECK(btfgen_fact(btf, name, NULL) == -EINVAL);
	CHECK(btfgen_fact(btf, "\xff", &fact) == -EINVAL);
	CHECK(fact.value == 7);
	CHECK(!btfgen_fact(btf, name, &later.fact) && !later.more && later.fact.sz == sizeof(later));
}

int main(int argc, char **argv)
{
	struct btfgen_find_opts opts = { .sz = sizeof(opts), .facts = true };
	struct btfgen_btf *btf;
	int i;

	CHECK(argc > 2);
	opts.archive_file = argv[1];
	CHECK(!btfgen_find(&opts, &btf));
	misuse(btf, argv[2]);
	for (i = 2; i < argc; i++) {
		struct btfgen_fact fact = { .sz = sizeof(fact) };
		int err = btfgen_fact(btf, argv[i], &fact);

		if (err)
			printf("%s: %s: %s\n", argv[i], strerror(-err), btfgen_error(btf));
		else
			printf("%s: %lld, size %u, bit %u, bits %u, question %u\n", argv[i],
			       (long long)fact.value, fact.size, fact.bit, fact.bits, fact.question);
	}
	btfgen_free(btf);

	/* Without facts. */
	opts.facts = false;
	CHECK(!btfgen_find(&opts, &btf));
	{
		struct btfgen_fact fact = { .sz = sizeof(fact) };

		CHECK(btfgen_fact(btf, argv[2], &fact) == -ESRCH);
	}
	btfgen_free(btf);
	return 0;
}
