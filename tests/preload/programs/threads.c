/*
 * Threads pass buffers to each other: each fills what it allocates, and the next one checks
 * the contents, resizes and frees. The last one to free is never the one that allocated.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4u
#define ROUNDS  30000u
#define PLACES  64u         /* between a thread and the next */

typedef struct message {
    unsigned char *buffer;
    size_t size;
    unsigned char fill;
} message_t;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    message_t place[PLACES];
    size_t count;
    size_t first;
} ring[THREADS];

static unsigned wrong[THREADS];

static void send(size_t to, message_t message)
{
    pthread_mutex_lock(&ring[to].lock);
    while (ring[to].count == PLACES)
        pthread_cond_wait(&ring[to].changed, &ring[to].lock);
    ring[to].place[(ring[to].first + ring[to].count++) % PLACES] = message;
    pthread_cond_broadcast(&ring[to].changed);
    pthread_mutex_unlock(&ring[to].lock);
}

static message_t receive(size_t at)
{
    pthread_mutex_lock(&ring[at].lock);
    while (ring[at].count == 0)
        pthread_cond_wait(&ring[at].changed, &ring[at].lock);
    message_t message = ring[at].place[ring[at].first];
    ring[at].first = (ring[at].first + 1) % PLACES;
    ring[at].count--;
    pthread_cond_broadcast(&ring[at].changed);
    pthread_mutex_unlock(&ring[at].lock);
    return message;
}

static size_t next_random(size_t *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 8 & 0xffff;
}

static int is_filled(const unsigned char *buffer, size_t size, unsigned char fill)
{
    for (size_t i = 0; i < size; i++) {
        if (buffer[i] != fill)
            return 0;
    }
    return 1;
}

static void *run(void *argument)
{
    size_t me = (size_t)argument;
    size_t state = me + 1;

    for (size_t round = 0; round < ROUNDS; round++) {
        size_t kind = next_random(&state) % 16;
        size_t size = next_random(&state) % (kind == 0 ? 40000 : kind < 4 ? 3000 : 200);
        message_t sent = { malloc(size + 1), size + 1, (unsigned char)next_random(&state) };

        memset(sent.buffer, sent.fill, sent.size);
        send((me + 1) % THREADS, sent);

        message_t got = receive(me);
        wrong[me] += !is_filled(got.buffer, got.size, got.fill);
        if (round % 3 == 0) {
            got.buffer = realloc(got.buffer, got.size * 2);
            wrong[me] += !is_filled(got.buffer, got.size, got.fill);
        }
        free(got.buffer);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    unsigned sum = 0;

    for (size_t i = 0; i < THREADS; i++) {
        pthread_mutex_init(&ring[i].lock, NULL);
        pthread_cond_init(&ring[i].changed, NULL);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, run, (void *)i);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        sum += wrong[i];
    }
    printf("%u buffers passed, %u wrong\n", THREADS * ROUNDS, sum);
    return sum != 0;
}
