// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A kernel that has none of the types that programs ask for.

int nothing_of_interest;
