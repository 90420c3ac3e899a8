package io.millpond.fs.local;

import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.ToIntFunction;
import java.util.function.UnaryOperator;

/**
 * Parsed records by store path, bounded by their weight. A copy is good while the counter of its
 * slot has not moved in the table that the lease names; the counter was read before the file was.
 * Look-ups take no lock; what makes room is a clock: what was used since its last turn stays.
 */
final class Memory<T> {
    private static final int SLACK = 64;

    private final ConcurrentHashMap<String, Entry<T>> entries = new ConcurrentHashMap<>();
    private final ConcurrentLinkedQueue<Entry<T>> clock = new ConcurrentLinkedQueue<>();
    private final AtomicInteger queued = new AtomicInteger();
    private final AtomicLong weight = new AtomicLong();
    private final long maxWeight;
    private final ToIntFunction<T> weigh;
    private final UnaryOperator<T> strip;

    /** {@code strip} makes a lighter form of a value, or returns the same: then it may go. */
    Memory(long maxWeight, ToIntFunction<T> weigh, UnaryOperator<T> strip) {
        this.maxWeight = maxWeight;
        this.weigh = weigh;
        this.strip = strip;
    }

    /** What is remembered under a path: {@code value} null says that there was no file. */
    static final class Entry<T> {
        final String path;
        final Epochs epochs;
        final int slot;
        final long counter;
        final int weight;
        final T value;
        volatile boolean used;

        Entry(String path, Epochs epochs, int slot, long counter, T value, int weight) {
            this.path = path;
            this.epochs = epochs;
            this.slot = slot;
            this.counter = counter;
            this.value = value;
            this.weight = weight;
        }

        private Entry<T> with(T value, int weight) {
            return new Entry<>(path, epochs, slot, counter, value, weight);
        }
    }

    /** The entry of a path if it still stands; {@code epochs} null: nothing does. */
    Entry<T> get(String path, Epochs epochs) {
        Entry<T> entry = entries.get(path);
        if (entry == null
                || epochs == null
                || entry.epochs != epochs
                || epochs.counter(entry.slot) != entry.counter) {
            return null;
        }
        if (!entry.used) {
            entry.used = true;
        }
        return entry;
    }

    /** Remembers a value (null: no file) read after {@code counter} was. */
    void put(String path, Epochs epochs, int slot, long counter, T value) {
        int size = 2 * path.length() + (value == null ? 200 : weigh.applyAsInt(value));
        add(new Entry<>(path, epochs, slot, counter, value, size));
        while ((weight.get() > maxWeight || queued.get() > 2 * entries.size() + SLACK) && turn()) {
            // each turn removes, strips or spares the oldest
        }
    }

    long weightBytes() {
        return weight.get();
    }

    int queued() {
        return queued.get();
    }

    private void add(Entry<T> entry) {
        Entry<T> old = entries.put(entry.path, entry);
        weight.addAndGet(entry.weight - (old == null ? 0 : old.weight));
        enqueue(entry);
    }

    private void enqueue(Entry<T> entry) {
        queued.incrementAndGet();
        clock.add(entry);
    }

    private boolean turn() {
        Entry<T> oldest = clock.poll();
        if (oldest == null) {
            return false;
        }
        queued.decrementAndGet();
        if (entries.get(oldest.path) != oldest) {
            return true; // replaced since
        }
        if (oldest.used) {
            oldest.used = false;
            enqueue(oldest);
            return true;
        }
        T value = oldest.value;
        T light = value == null ? null : strip.apply(value);
        if (light == value) {
            if (entries.remove(oldest.path, oldest)) {
                weight.addAndGet(-oldest.weight);
            }
        } else {
            int size = 2 * oldest.path.length() + weigh.applyAsInt(light);
            Entry<T> lighter = oldest.with(light, size);
            if (entries.replace(oldest.path, oldest, lighter)) {
                weight.addAndGet(size - oldest.weight);
                enqueue(lighter);
            }
        }
        return true;
    }
}
