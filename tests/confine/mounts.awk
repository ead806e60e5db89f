# SPDX-License-Identifier: GPL-3.0-only
# Lines of mountinfo as they are compared: where, what, how, and whether they are shared (s) or follow (f) others.
# Numbers that are another's in each run become N. -v without=EXPRESSION: mount points to pass over. -v seen=1: only those
# that can be seen, and how many there are at their place.
{
    how = ""
    for (i = 7; $i != "-"; i++) how = how ($i ~ "^shared" ? "s" : $i ~ "^master" ? "f" : "")
    gsub("[0-9]{6,}", "N", $4)
    parent[$1] = $2
    dir[$1] = $5
    layers[$5]++
    line[$1] = "mount " $5 " " $4 " " $(i + 1) " " $6 " " how
}
END {
    for (id in line) if (dir[id] !~ without && (!seen || is_seen(id))) print line[id] (seen ? " " layers[dir[id]] : "")
}
# Nothing lies on it, nor above it on any mount that it is reached by.
function is_seen(id, other) {
    for (other in dir) if (parent[other] == id && other != id && dir[other] == dir[id]) return 0
    for (; parent[id] in dir && parent[id] != id; id = parent[id])
        for (other in dir)
            if (other != id && parent[other] == parent[id] && index(dir[id] "/", dir[other] (dir[other] == "/" ? "" : "/")) == 1)
                return 0
    return 1
}
