/*
 * Fork while other threads allocate: each child finds a heap that works, with the lock free
 * and the parent's buffers as they were.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS  2u
#define CHILDREN 100
#define KEPT     200u
#define PATIENCE 5u         /* seconds until a child that hangs is killed */

static atomic_bool stop;

static void *allocate(void *argument)
{
    unsigned size = 1;

    while (!stop) {
        size = size * 1103515245u + 12345u;
        char *buffer = malloc(size >> 8 & 4095);
        buffer = realloc(buffer, (size >> 16 & 8191) + 1);
        buffer[0] = 1;
        free(buffer);
    }
    return argument;
}

static int child(char **kept)
{
    alarm(PATIENCE);
    for (unsigned i = 0; i < KEPT; i++) {
        for (unsigned n = 0; n < i; n++) {
            if (kept[i][n] != (char)i)
                return 1;
        }
        kept[i] = realloc(kept[i], 3 * i + 1);
    }
    for (unsigned i = 0; i < KEPT; i++)
        free(kept[i]);
    return 0;
}

int main(void)
{
    pthread_t thread[THREADS];
    char *kept[KEPT];
    int bad = 0;

    for (unsigned i = 0; i < KEPT; i++) {
        kept[i] = malloc(i + 1);
        memset(kept[i], (int)i, i);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, allocate, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        int status = 1;
        pid_t pid = fork();

        if (pid == 0)
            _exit(child(kept));
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            bad++;
    }
    stop = 1;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    printf("%d children, %d bad\n", CHILDREN, bad);
    return bad != 0;
}
