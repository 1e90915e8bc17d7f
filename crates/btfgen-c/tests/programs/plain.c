// SPDX-License-Identifier: BSD-2-Clause
/* plain: the header alone, which is valid C and C++. */
#include "btf_helpers.h"

int main(void)
{
	cleanup_core_btf(NULL);
	return core_btf_trace()[0];
}
