# SPDX-License-Identifier: MIT
# Pseudo terminals for tests: require './tests/pty.pl'.
use strict;
use warnings;
use Fcntl;
use POSIX ();

# Linux's ioctls of /dev/ptmx: unlock it, the number of the other side.
use constant { TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430 };

# A new one: our side, and the path of the other; nothing where there are none.
sub pty_open {
	sysopen my $tty, '/dev/ptmx', O_RDWR | O_NOCTTY or return;
	my ($unlock, $number) = (pack('i', 0), pack('I', 0));
	ioctl $tty, TIOCSPTLCK, $unlock or return;
	ioctl $tty, TIOCGPTN, $number or return;
	return ($tty, '/dev/pts/' . unpack 'I', $number);
}

# Runs a command with that path for its terminal; its pid.
sub pty_run {
	my ($path, @cmd) = @_;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	POSIX::setsid();
	# the first terminal that a session's leader opens is its own: Ctrl-C there is a signal here
	sysopen my $s, $path, O_RDWR or POSIX::_exit(99);
	POSIX::dup2(fileno $s, $_) for 0 .. 2;
	exec @cmd or POSIX::_exit(98);
}

1;
