// Main makes jobs, four workers free them: every block dies on another thread than the one that made it.
// Workers also make results: kept for ever, or with the variant "freed" given back.
#include <pthread.h>

#include "../pace.h"

enum { WORKERS = 4, QUEUE = 64 };
static void *queue[QUEUE];
static size_t first, last;
static bool done, keep_results;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
_Thread_local char *newest_result;

OWN_FRAME void *make_job(unsigned long round) {
    char *job = checked(malloc(300 + round % 700));
    job[0] = (char)round;
    return job;
}

OWN_FRAME void make_result(const char *job) {
    char *result = checked(calloc(1, 150));
    result[0] = job[0];
    newest_result = result;
}

static void push(void *job) {
    pthread_mutex_lock(&lock);
    while (last - first == QUEUE) pthread_cond_wait(&changed, &lock);
    queue[last++ % QUEUE] = job;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

// The next job; NULL when there will be none any more.
static void *pop(void) {
    pthread_mutex_lock(&lock);
    while (first == last && !done) pthread_cond_wait(&changed, &lock);
    void *job = first == last ? NULL : queue[first++ % QUEUE];
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return job;
}

OWN_FRAME void *work(void *unused) {
    for (char *job; (job = pop()) != NULL; free(job)) {
        make_result(job);
        if (!keep_results) free(newest_result);
    }
    return unused;
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 200, 60);
    keep_results = !variant_is(&pace, "freed");
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) pthread_create(&workers[i], NULL, work, NULL);
    while (pace_next(&pace)) push(make_job(pace.round));
    pthread_mutex_lock(&lock);
    done = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < WORKERS; i++) pthread_join(workers[i], NULL);
}
