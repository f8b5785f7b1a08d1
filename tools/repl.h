/* SPDX-License-Identifier: MIT */
/* The conversation with a person at a terminal, or with a program that writes lines. */
#ifndef TOOLS_REPL_H
#define TOOLS_REPL_H

#include "converse.h"

/*
 * Reads turns from standard input until it ends and answers each: with line editing, history and commands if it is a
 * terminal, else one turn a line. Returns the exit status.
 */
int repl(struct converse *c);

#endif
