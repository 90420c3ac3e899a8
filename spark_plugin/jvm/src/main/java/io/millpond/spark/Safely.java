package io.millpond.spark;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Runs parts of the plugin so that their failure costs that part alone, and is logged once. */
final class Safely {
    private static final Logger LOG = LoggerFactory.getLogger(MillpondPlugin.class);

    private final Set<String> failed = ConcurrentHashMap.newKeySet();

    /** What may fail in any way. */
    interface Part {
        void run() throws Exception;
    }

    /**
     * Runs a part; null, or why it failed. Errors count too: a jar that is missing is no reason to
     * end a job. Only those of the JVM itself, such as memory that is out, go on.
     */
    Throwable run(String what, Part part) {
        try {
            part.run();
            return null;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return e;
        } catch (VirtualMachineError e) {
            throw e;
        } catch (Throwable e) {
            if (failed.add(what)) {
                LOG.error("Millpond goes on without {}: {}", what, e.toString(), e);
            }
            return e;
        }
    }
}
