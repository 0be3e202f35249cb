// SPDX-License-Identifier: Apache-2.0
/*
 * Says in a guest what its clock is, so that the host can put its own beside it: reads CLOCK_MONOTONIC, writes a
 * sequence number to an I/O port, reads the clock again. QEMU's tracepoint memory_region_ops_write has the host's time
 * of the same write, made by the same thread: whatever the host's clock was then, the guest's was between the two
 * readings.
 *
 *	clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE]
 *
 * writes COUNT beacons, three at a time, and prints a line for each: SEQ T0 T1, in nanoseconds. The port has the last
 * eight bits of SEQ, which begins with 0. With the other two it goes on in the background, once these are printed: it
 * writes three more each time, first INTERVAL_US later, then after twice that, and so on up to every PAUSE_US; on SIGTERM
 * the last COUNT as it did the first, and ends. PIDFILE has its process ID.
 *
 * The first of three finds its way through cold caches, which takes ten times as long, and says that much less; the
 * other two are the tight ones. The rests between the threes are between three and five quarters of INTERVAL_US or
 * PAUSE_US, at random: an uneven rhythm fits itself at one place only, so that no lost beacon and no wrap of the eight
 * bits leads to a wrong pair. Each process has a rhythm of its own, or the series of one recording would be taken for
 * each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Nothing answers there: not on the machine types of QEMU, and not on a PC. */
#define PORT 0xA20

#define AT_A_TIME 3

/* Printing takes its time, and never stands between the beacons of one time. */
#define BUFFERED (AT_A_TIME * 20)

/* An hour. */
#define LONGEST_US (UINT64_C(3600) * 1000000)

struct beacon {
	uint64_t sequence;
	int64_t before, after;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void die(const char *what, const char *todo)
{
	fprintf(stderr, "clock-beacon: %s: %s\n  what to do: %s\n", what, strerror(errno), todo);
	exit(1);
}

static uint64_t number(const char *text, uint64_t most)
{
	char *rest;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &rest, 10);
	if (*text < '0' || *text > '9' || *rest != '\0' || errno != 0 || value > most) {
		fprintf(stderr, "clock-beacon: '%s' is no number up to %" PRIu64 "\n"
			"  usage: clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE], such as: clock-beacon 100 10000\n", text, most);
		exit(2);
	}
	return value;
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void print(const struct beacon *beacons, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%" PRIu64 " %" PRId64 " %" PRId64 "\n", beacons[i].sequence, beacons[i].before, beacons[i].after);
	if (fflush(stdout) != 0)
		die("standard output", "see that the disk it goes to has room");
}

/* xorshift: its state is never 0, which an odd number times an odd number is not. */
static uint64_t state;

static uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void rest(uint64_t interval_us)
{
	uint64_t ns = interval_us * 750;
	struct timespec time;

	if (ns == 0)
		return;
	ns += random_bits() % (interval_us * 500);
	time.tv_sec = ns / 1000000000;
	time.tv_nsec = ns % 1000000000;
	/* A signal that comes just before it is heard when the rest is over. */
	nanosleep(&time, NULL);
}

/* A page fault between the readings widens the bracket. What is locked is a process's own: a child begins anew. */
static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		die("mlockall", "run it as root");
}

static int port;

static void write_beacons(uint64_t count, uint64_t interval_us)
{
	static uint64_t sequence;
	struct beacon beacons[BUFFERED];
	size_t kept = 0;

	memset(beacons, 0, sizeof(beacons));
	for (uint64_t done = 1; done <= count; done++) {
		struct beacon *beacon = &beacons[kept];
		unsigned char byte = sequence & 0xff;
		ssize_t written;

		beacon->sequence = sequence++;
		beacon->before = now();
		written = pwrite(port, &byte, 1, PORT);
		beacon->after = now();
		if (written != 1)
			die("writing to /dev/port", "run it as root, on a kernel that is not locked down");
		if (++kept == BUFFERED) {
			print(beacons, kept);
			kept = 0;
		}
		if (done % AT_A_TIME == 0 && done != count)
			rest(interval_us);
	}
	print(beacons, kept);
}

/* Goes on as a process of its own, without whoever waits for this one; returns in that process alone. */
static void into_background(const char *pid_file)
{
	pid_t child = fork();
	FILE *file;
	int null;

	if (child < 0)
		die("fork", "see that the guest has memory, and room for another process");
	if (child > 0) {
		file = fopen(pid_file, "we");
		if (file == NULL || fprintf(file, "%ld\n", (long)child) < 0 || fclose(file) != 0) {
			kill(child, SIGKILL);
			die(pid_file, "name a file that can be written");
		}
		exit(0);
	}
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		die("/dev/null", "see that the guest has one");
	lock_memory();
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = end };
	uint64_t count, interval, pause;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE]\n");
		return 2;
	}
	count = number(argv[1], UINT64_MAX / 2);
	interval = number(argv[2], LONGEST_US);
	pause = argc == 5 ? number(argv[3], LONGEST_US) : 0;
	state = UINT64_C(0x9e3779b97f4a7c15) * (2 * (uint64_t)now() + 1);
	port = open("/dev/port", O_WRONLY | O_CLOEXEC);
	if (port < 0)
		die("/dev/port", "run it as root, on a kernel with CONFIG_DEVPORT");
	lock_memory();
	write_beacons(count, interval);
	if (argc == 3)
		return 0;
	sigaction(SIGTERM, &action, NULL);
	into_background(argv[4]);
	/* How fast the clocks drift apart is known the better the longer it was seen, if something changes soon. */
	for (uint64_t next = interval; rest(next), !ended; next = 2 * next + 1 < pause ? 2 * next + 1 : pause)
		write_beacons(AT_A_TIME, 0);
	/* Asked once more, it goes on with these. */
	signal(SIGTERM, SIG_IGN);
	write_beacons(count, interval);
	return 0;
}
