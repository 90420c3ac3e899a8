package io.millpond.linkage;

import java.io.IOException;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.zip.ZipEntry;

/**
 * Loads, links and initialises every class of a jar, then resolves the types in its signatures;
 * prints what fails as {@code load <class> <why>} or {@code signature <class> <why>}, then {@code
 * classes <count>}.
 */
public final class LoadAll {
    private LoadAll() {}

    public static void main(String[] args) throws IOException {
        ClassLoader loader = LoadAll.class.getClassLoader();
        List<String> names;
        try (JarFile jar = new JarFile(args[0])) {
            names =
                    jar.stream()
                            .map(ZipEntry::getName)
                            .filter(name -> name.endsWith(".class"))
                            .map(name -> name.substring(0, name.length() - 6).replace('/', '.'))
                            .collect(Collectors.toList());
        }
        for (String name : names) {
            String step = "load";
            try {
                Class<?> type = Class.forName(name, true, loader);
                step = "signature";
                type.getDeclaredMethods();
                type.getDeclaredFields();
                type.getDeclaredConstructors();
            } catch (ClassNotFoundException | LinkageError e) {
                System.out.println(step + " " + name + " " + e);
            }
        }
        System.out.println("classes " + names.size());
    }
}
