package io.millpond.fs.local;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Remembers what the local reader told. */
final class Recorder implements LocalEvents {
    private final List<String> badPages = new CopyOnWriteArrayList<>();
    private final List<Trouble> troubles = new CopyOnWriteArrayList<>();

    @Override
    public void badPage(FileId file, int block, int page, long generation) {
        badPages.add(file + " " + block + " " + page + " " + generation);
    }

    @Override
    public void trouble(Trouble reason, Throwable error) {
        troubles.add(reason);
    }

    int badPages() {
        return badPages.size();
    }

    String lastBadPage() {
        return badPages.get(badPages.size() - 1);
    }

    int troubles() {
        return troubles.size();
    }

    Trouble lastTrouble() {
        return troubles.isEmpty() ? null : troubles.get(troubles.size() - 1);
    }
}
