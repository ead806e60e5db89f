// SPDX-License-Identifier: GPL-3.0-only
//
// The floor: each piece of work by the bare system calls that change something, and none besides. Nothing is looked at,
// checked, undone or recorded, so no program that does these can be faster.
//
//   floor                         starts and ends
//   floor table                   reads the mount table once
//   floor connect PLACE COUNT     binds PLACE/s/K on PLACE/t/K           floor disconnect PLACE COUNT
//   floor make PLACE COUNT        the same; makes PLACE/t/K first        floor remove PLACE COUNT
//   floor walk PLACE COUNT        as connect, by the calls that ours makes for an entry; floor leave PLACE COUNT
//   floor mimic DIR SOURCE        covers DIR by a mimic, and binds SOURCE on DIR/fresh
//   floor detach DIR              takes one mount away, with all that is in it
//   floor in NAMESPACE VERB...    joins a namespace first
//   floor user UID FROM TO DIR... becomes the user, binds FROM on TO, makes every DIR

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void must(int failed, const char *what) {
    if (failed) {
        perror(what);
        exit(1);
    }
}

// Writes the name of the K-th directory: five digits.
static void name(char *at, int k) {
    for (int i = 4; i >= 0; i--, k /= 10) at[i] = '0' + k % 10;
}

static void each(const char *verb, const char *place, int count) {
    int to = verb[0] == 'c' || verb[0] == 'm', made = verb[0] == 'm' || verb[0] == 'r';
    char from[] = "s/00000", at[] = "t/00000";
    must(chdir(place), place);
    for (int k = 0; k < count; k++) {
        name(from + 2, k);
        name(at + 2, k);
        if (to) {
            if (made) must(mkdir(at, 0755), at);
            must(mount(from, at, NULL, MS_BIND, NULL), at);
        } else {
            must(umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW), at);
            if (made) must(rmdir(at), at);
        }
    }
}

// The calls that ours makes for an entry, in their order: a path is followed to its end by no link, and what was found is
// used by its descriptor, or by its name in a directory that is kept open.
static void calls(int to, const char *place, int count) {
    unsigned long how[3] = {O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0x06}; // RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
    unsigned long unbindable[4] = {0, 0, MS_UNBINDABLE, 0};
    char from[200], at[200], fd[40], buffer[256];
    struct stat stat;
    sprintf(at, "%s/t/", place);
    sprintf(from, "%s/s/", place);
    int parent = syscall(SYS_openat2, AT_FDCWD, at, how, sizeof how);
    int sources = syscall(SYS_openat2, AT_FDCWD, from, how, sizeof how);
    must(parent < 0 || sources < 0, at);
    char *leaf = strcat(at, "00000") + strlen(at) - 5, *source = strcat(from, "00000") + strlen(from) - 5;
    for (int k = 0; k < count; k++) {
        name(leaf, k);
        name(source, k);
        if (to) {
            must(fstatat(AT_FDCWD, at, &stat, AT_SYMLINK_NOFOLLOW), at);
            int tree = syscall(SYS_open_tree, sources, source, 1 | O_CLOEXEC | AT_SYMLINK_NOFOLLOW); // OPEN_TREE_CLONE
            must(tree < 0 || syscall(SYS_move_mount, tree, "", parent, leaf, 0x04), at);  // MOVE_MOUNT_F_EMPTY_PATH
            close(tree);
        } else {
            int top = openat(parent, leaf, O_PATH | O_NOFOLLOW | O_CLOEXEC);
            must(top < 0 || syscall(SYS_statx, top, "", AT_EMPTY_PATH, 0x1900, buffer), at);
            must(syscall(SYS_mount_setattr, top, "", AT_EMPTY_PATH | 0x8000, unbindable, sizeof unbindable), at);
            sprintf(fd, "/proc/self/fd/%d", top);
            must(umount2(fd, MNT_DETACH), at);
            close(top);
        }
    }
}

static void mimic(const char *dir, const char *source) {
    static char names[1 << 16];
    char from[300];
    int covered = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), len;
    must(covered < 0, dir);
    must(mount("tmpfs", dir, "tmpfs", 0, "mode=0755,uid=0,gid=0"), dir);
    must(chdir(dir), dir);
    while ((len = syscall(SYS_getdents64, covered, names, sizeof names)) > 0) {
        for (char *next = names; next < names + len;) {
            struct dirent *child = (struct dirent *)next;
            next += child->d_reclen;
            if (!strcmp(child->d_name, ".") || !strcmp(child->d_name, "..")) continue;
            sprintf(from, "/proc/self/fd/%d/%s", covered, child->d_name);
            int is_dir = child->d_type == DT_DIR;
            must(is_dir ? mkdir(child->d_name, 0755) : mknod(child->d_name, S_IFREG | 0644, 0), child->d_name);
            must(mount(from, child->d_name, NULL, MS_BIND | (is_dir ? MS_REC : 0), NULL), child->d_name);
        }
    }
    must(mkdir("fresh", 0755), "fresh");
    must(mount(source, "fresh", NULL, MS_BIND | MS_REC, NULL), "fresh");
}

static void table(void) {
    static char text[1 << 16];
    int file = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), len;
    while ((len = read(file, text, sizeof text)) > 0) {}
    must(len < 0, "mountinfo");
}

static void user(char **words) {
    gid_t id = atoi(words[0]);
    unsigned version[] = {0x20080522, 0}, rights[] = {1u << 21, 1u << 21, 0, 0, 0, 0}; // CAP_SYS_ADMIN
    must(prctl(PR_SET_KEEPCAPS, 1), "keep capabilities");
    must(setgroups(1, &id), "setgroups");
    must(setgid(id), "setgid");
    must(setuid(id), "setuid");
    must(syscall(SYS_capset, version, rights), "capset");
    must(mount(words[1], words[2], NULL, MS_BIND, NULL), words[2]);
    for (words += 3; *words; words++) mkdir(*words, 0700); // at every start but the first they are there
}

static void join(const char *namespace) {
    int file = open(namespace, O_RDONLY | O_CLOEXEC);
    must(file < 0 || setns(file, CLONE_NEWNS), namespace);
}

int main(int count, char **words) {
    if (count > 3 && !strcmp(words[1], "in")) {
        join(words[2]);
        words += 2;
        count -= 2;
    }
    const char *verb = count > 1 ? words[1] : "";
    if (!strcmp(verb, "table")) table();
    else if (!strcmp(verb, "mimic")) mimic(words[2], words[3]);
    else if (!strcmp(verb, "detach")) must(umount2(words[2], MNT_DETACH | UMOUNT_NOFOLLOW), words[2]);
    else if (!strcmp(verb, "walk") || !strcmp(verb, "leave")) calls(*verb == 'w', words[2], atoi(words[3]));
    else if (!strcmp(verb, "user")) user(words + 2);
    else if (*verb) each(verb, words[2], atoi(words[3]));
    return 0;
}
