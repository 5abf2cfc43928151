// enosys: 386
/*
 * fork, wait and waitpid as a C library has them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char *text = malloc(100000);

    memset(text, 'p', 100000);
    for (int i = 0; i < 5; i++) {
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid < 0) {
            perror("fork");
            return 1;
        }
        if (pid == 0) {
            memset(text, 'c', 50000);
            free(text);
            text = malloc(200000);
            printf("child %d: its pid differs: %d\n", i, getpid() != getppid());
            exit(text != NULL ? 10 + i : 1);
        }
        int status;
        pid_t ended = wait(&status);

        printf("child %d: %d, status %d\n", i, ended == pid, WEXITSTATUS(status));
    }
    printf("%c%c\n", text[0], text[99999]);
    return 0;
}
