package io.millpond.contract;

import java.io.PrintStream;
import java.util.HashMap;
import java.util.Map;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs the suites that are named, and prints how each test ended: one line, tab-separated. */
public final class Main {
    private Main() {}

    public static void main(String[] names) throws ClassNotFoundException {
        Class<?>[] suites = new Class<?>[names.length];
        for (int i = 0; i < names.length; i++) {
            suites[i] = suite(names[i]);
        }
        PrintStream out = System.out;
        System.setOut(System.err);
        JUnitCore core = new JUnitCore();
        core.addListener(new Report(out));
        core.run(suites);
        out.flush();
        System.exit(0);
    }

    private static Class<?> suite(String name) throws ClassNotFoundException {
        for (Class<?> each : new Class<?>[] {ReadSuites.class, WriteSuites.class}) {
            for (Class<?> suite : each.getClasses()) {
                if (suite.getSimpleName().equals(name)) {
                    return suite;
                }
            }
        }
        return Class.forName(BaseSuites.class.getName() + '$' + name);
    }

    private static final class Report extends RunListener {
        private final PrintStream out;
        private final Map<Description, String> unusual = new HashMap<>();

        Report(PrintStream out) {
            this.out = out;
        }

        @Override
        public void testFailure(Failure failure) {
            String trace = failure.getTrace();
            System.err.println(failure.getDescription() + " failed: " + trace);
            if (failure.getDescription().isTest()) {
                unusual.put(failure.getDescription(), "failed\t" + line(failure));
            } else {
                print(failure.getDescription(), "failed\t" + line(failure));
            }
        }

        @Override
        public void testAssumptionFailure(Failure failure) {
            unusual.put(failure.getDescription(), "skipped\t" + line(failure));
        }

        @Override
        public void testIgnored(Description test) {
            print(test, "skipped\tignored");
        }

        @Override
        public void testFinished(Description test) {
            print(test, unusual.getOrDefault(test, "passed\t"));
        }

        private void print(Description test, String how) {
            String suite = test.getTestClass() == null ? "" : test.getTestClass().getSimpleName();
            out.println(suite + "." + test.getMethodName() + "\t" + how);
        }

        private static String line(Failure failure) {
            return String.valueOf(failure.getException()).replaceAll("\\s+", " ");
        }
    }
}
