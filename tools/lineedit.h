/* SPDX-License-Identifier: MIT */
/* Lines that a person types at the terminal, with editing and a history that outlives the process (libedit). */
#ifndef TOOLS_LINEEDIT_H
#define TOOLS_LINEEDIT_H

enum lineedit_end { LINEEDIT_LINE, LINEEDIT_INTERRUPT, LINEEDIT_EOF };

struct lineedit;

/*
 * Reads standard input. The history is zen5mem/history under $XDG_STATE_HOME or ~/.local/state, mode 0600; where it
 * cannot be read or written there is none, silently. Dies if out of memory.
 */
struct lineedit *lineedit_open(void);
void lineedit_close(struct lineedit *le);

/*
 * Reads a line, or several where a backslash ends one, without the last newline, for the caller to free. On Ctrl-C, and
 * at the end of the input (Ctrl-D on an empty line) or a signal that ends the process, *text is NULL.
 */
enum lineedit_end lineedit_read(struct lineedit *le, const char *prompt, char **text);

#endif
