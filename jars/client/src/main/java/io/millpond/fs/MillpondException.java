package io.millpond.fs;

import java.io.IOException;

/** Root of the errors of Millpond; its message is one line: problem, cause and remedy. */
public class MillpondException extends IOException implements Fault {
    private static final long serialVersionUID = 1;

    public MillpondException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.MILLPOND_ERROR;
    }
}
