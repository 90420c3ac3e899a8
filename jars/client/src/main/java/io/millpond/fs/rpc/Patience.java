package io.millpond.fs.rpc;

/**
 * How long this process waited in vain for the sidecar, by the wall clock: waits of several threads
 * at once count once. One episode lasts until the sidecar is heard again.
 */
final class Patience {
    private long episodeNs;
    private long untilNs;
    private long longestNs;
    private boolean waiting;

    /** A wait from {@code fromNs} to {@code toNs} brought nothing. */
    synchronized void lost(long fromNs, long toNs) {
        long from = waiting && untilNs - fromNs > 0 ? untilNs : fromNs;
        if (toNs - from > 0) {
            episodeNs += toNs - from;
            untilNs = toNs;
            waiting = true;
        }
        longestNs = Math.max(longestNs, episodeNs);
    }

    /** The sidecar answered: the episode, if there was one, is over. */
    synchronized void heard() {
        episodeNs = 0;
        waiting = false;
    }

    /** The longest episode so far. */
    synchronized long longestNs() {
        return longestNs;
    }
}
