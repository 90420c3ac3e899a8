package io.millpond.shell;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.tools.DistCp;
import org.apache.hadoop.util.Tool;
import org.apache.hadoop.util.ToolRunner;

/**
 * Runs {@code hadoop fs} and {@code distcp} as their own mains do, many in one JVM: a line each of
 * words in Base64, answered by exit code, output and errors.
 */
public final class Shell {
    private Shell() {}

    public static void main(String[] args) throws IOException {
        PrintStream answers = System.out;
        PrintStream log = System.err;
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words =
                    Arrays.stream(line.split("\t")).map(Shell::decoded).toArray(String[]::new);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream errors = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
            int code;
            try {
                code = run(words);
            } finally {
                System.setOut(answers);
                System.setErr(log);
            }
            log.write(errors.toByteArray());
            answers.println(code + "\t" + encoded(out) + "\t" + encoded(errors));
        }
    }

    private static int run(String[] words) {
        String[] rest = Arrays.copyOfRange(words, 1, words.length);
        try {
            Configuration conf = new Configuration();
            Tool tool = words[0].equals("distcp") ? new DistCp(conf, null) : new FsShell(conf);
            return ToolRunner.run(tool, rest);
        } catch (Exception | LinkageError e) {
            e.printStackTrace();
            return 1;
        }
    }

    private static String decoded(String word) {
        return new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8);
    }

    private static String encoded(ByteArrayOutputStream text) {
        return Base64.getEncoder().encodeToString(text.toByteArray());
    }
}
