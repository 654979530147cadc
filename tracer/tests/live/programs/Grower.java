import java.util.ArrayList;

/** Keeps 1 MiB every few milliseconds, until it is stopped. */
public class Grower {
    static final ArrayList<byte[]> KEPT = new ArrayList<>();

    public static void main(String[] arguments) throws InterruptedException {
        while (true) {
            KEPT.add(new byte[1 << 20]);
            Thread.sleep(20);
        }
    }
}
