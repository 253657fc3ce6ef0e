import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.gson.reflect.TypeToken;
import io.harness.cf.client.api.BaseConfig;
import io.harness.cf.client.api.CfClient;
import io.harness.cf.client.connector.HarnessConfig;
import io.harness.cf.client.connector.HarnessConnector;
import io.harness.cf.client.dto.Target;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Drives the unmodified Harness Java server SDK: commands as JSON lines on stdin, answers as JSON lines on stdout, all else on
 * stderr. Environment: RELAY_URL, SDK_KEY, INIT_TIMEOUT_SECONDS.
 */
public final class Driver {
  private static final int HOUR_SECONDS = 3600;
  private static final Gson GSON = new Gson();

  private final PrintStream answers;
  private final CfClient client;

  private Driver(PrintStream answers) {
    this.answers = answers;
    String relay = System.getenv("RELAY_URL");
    HarnessConfig urls = HarnessConfig.builder().configUrl(relay).eventUrl(relay).build();
    BaseConfig config =
        BaseConfig.builder()
            .streamEnabled(true)
            .pollIntervalInSeconds(HOUR_SECONDS) // so that a change can only come through the stream
            .frequency(60) // seconds between metrics: the SDK's minimum
            .build();
    client = new CfClient(new HarnessConnector(System.getenv("SDK_KEY"), urls), config);
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err);
    new Driver(answers).run();
    // The SDK's threads are not daemons, and close() leaves some of them behind.
    System.exit(0);
  }

  private void run() throws Exception {
    JsonObject first = new JsonObject();
    String error = initialise();
    first.addProperty("event", error == null ? "ready" : "failed");
    if (error != null) {
      first.addProperty("error", error);
    }
    answers.println(first);

    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonObject command = JsonParser.parseString(line).getAsJsonObject();
      String name = command.get("command").getAsString();
      if (name.equals("close")) {
        break;
      }
      if (name.equals("variation")) {
        JsonObject answer = new JsonObject();
        answer.addProperty("event", "value");
        answer.add("value", variation(command));
        answers.println(answer);
      }
    }
    client.close();
  }

  /** Says why it failed, or null. The SDK's own wait has no end when nobody answers. */
  private String initialise() throws InterruptedException {
    String seconds = System.getenv().getOrDefault("INIT_TIMEOUT_SECONDS", "30");
    CompletableFuture<Void> ready =
        CompletableFuture.runAsync(
            () -> {
              try {
                client.waitForInitialization();
              } catch (Exception failure) {
                throw new IllegalStateException(failure);
              }
            });
    try {
      ready.get(Long.parseLong(seconds), TimeUnit.SECONDS);
      return null;
    } catch (TimeoutException tooLong) {
      return "not initialised after " + seconds + " s";
    } catch (java.util.concurrent.ExecutionException failure) {
      return String.valueOf(failure.getCause());
    }
  }

  private JsonElement variation(JsonObject command) {
    String flag = command.get("flag").getAsString();
    JsonElement fallback = command.get("default");
    Target target = target(command.getAsJsonObject("target"));
    switch (command.get("kind").getAsString()) {
      case "boolean":
        return new JsonPrimitive(client.boolVariation(flag, target, fallback.getAsBoolean()));
      case "string":
        return new JsonPrimitive(client.stringVariation(flag, target, fallback.getAsString()));
      case "number":
        return new JsonPrimitive(client.numberVariation(flag, target, fallback.getAsDouble()));
      case "json":
        return client.jsonVariation(flag, target, fallback.getAsJsonObject());
      default:
        throw new IllegalArgumentException("unknown kind in " + command);
    }
  }

  private static Target target(JsonObject given) {
    Map<String, Object> attributes =
        GSON.fromJson(given.get("attributes"), new TypeToken<Map<String, Object>>() {}.getType());
    return Target.builder()
        .identifier(given.get("identifier").getAsString())
        .name(given.get("name").getAsString())
        .attributes(attributes == null ? Map.of() : attributes)
        .build();
  }
}
