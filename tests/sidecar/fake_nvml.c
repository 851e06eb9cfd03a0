/* A stand-in for libnvidia-ml.so.1: two cards whose values and faults are lines "key value".

   They come from the file that FAKE_NVML_FILE names, read anew at each call, and then from the mood that
   FAKE_NVML names. A key holds for both cards, with ".0" or ".1" behind it for one; a later handle, ".2"
   and on, is a MIG instance of card 0. Keys beside the values:
     fail CODE, fail.CALL CODE    the error to return; CALL is the function without "nvml" and "DeviceGet"
     hang.CALL MILLISECONDS       how long to wait before each answer
     hang-after NUMBER            so many of these calls answer at once */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long u64;
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
enum { CARDS = 2, INSTANCES = 4, UNSIGNED_INT = 1, POWER_INSTANT = 186 };
static int handles[CARDS + INSTANCES] = {0, 1, 2, 3, 4, 5};

static const char *const moods[][2] = {
    {"no-driver", "fail.InitWithFlags 9\n"},
    {"no-card", "cards 0\n"},
    {"lost", "fail 15\n"},
    {"one-lost", "fail.1 15\n"},
    {"forbidden", "fail.HandleByIndex_v2.1 4\n"},
    {"old-driver", "fail.MemoryInfo_v2 13\nfail.CurrentClocksEventReasons 13\nfail.TemperatureV 13\n"
                   "fail.ComputeRunningProcesses_v3 13\nfail.GraphicsRunningProcesses_v3 13\n"},
    {"bare", "fail.FieldValues 3\nfail.TotalEnergyConsumption 3\nfail.ClockInfo 3\nfail.Samples 3\n"
             "fail.CurrentClocksEventReasons 3\nfail.TemperatureV 3\nfail.PcieThroughput 3\n"
             "fail.ComputeRunningProcesses_v3 3\nfail.MigMode 3\n"},
    {"no-power", "fail.PowerUsage.1 3\n"},
    {"mig", "mig.0 1\nfail.UtilizationRates.0 3\nfail.Samples.0 3\n"},
    {"hang", "hang.PowerUsage 60000\nhang-after 10\n"},
    {"hang-init", "hang.InitWithFlags 60000\n"},
};

/* The value of a key in one text; 1 when it is there. */
static int find(const char *text, const char *key, u64 *value) {
  size_t length = strlen(key);
  for (; text && *text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
    if (!strncmp(text, key, length) && text[length] == ' ') {
      *value = strtoull(text + length + 1, NULL, 10);
      return 1;
    }
  return 0;
}

static int look_up(const char *key, int card, u64 *value) {
  char file[4096] = "", of_card[80];
  const char *texts[2] = {file, ""}, *path = getenv("FAKE_NVML_FILE"), *mood = getenv("FAKE_NVML");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd >= 0) {
    ssize_t got = read(fd, file, sizeof file - 1);
    file[got > 0 ? got : 0] = 0;
    close(fd);
  }
  for (size_t i = 0; mood && i < sizeof moods / sizeof *moods; i++)
    if (!strcmp(moods[i][0], mood)) texts[1] = moods[i][1];
  snprintf(of_card, sizeof of_card, "%s.%d", key, card);
  for (int i = 0; i < 2; i++)
    if (find(texts[i], of_card, value) || find(texts[i], key, value)) return 1;
  return 0;
}

static u64 get(const char *key, const int *handle, u64 otherwise) {
  look_up(key, handle ? *handle : -1, &otherwise);
  return otherwise;
}

/* Wait and fail as a call is told to; every function begins with this. */
static int begin(const char *call, const int *handle) {
  static u64 hung;
  char key[80];
  snprintf(key, sizeof key, "hang.%s", call);
  u64 wait_ms = get(key, handle, 0);
  if (wait_ms && ++hung > get("hang-after", handle, 0)) usleep((useconds_t)(wait_ms * 1000));
  snprintf(key, sizeof key, "fail.%s", call);
  return (int)get(key, handle, handle ? get("fail", handle, OK) : OK);
}
#define BEGIN(call, handle) \
  int failed = begin(call, handle); \
  if (failed) return failed

int nvmlInitWithFlags(unsigned flags) {
  BEGIN("InitWithFlags", NULL);
  return flags ? INVALID : OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "fault"; }
int nvmlDeviceGetCount_v2(unsigned *count) {
  BEGIN("Count_v2", NULL);
  *count = (unsigned)get("cards", NULL, CARDS);
  return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, int **handle) {
  *handle = &handles[index];
  char key[] = "fail.HandleByIndex_v2";
  return (int)get(key, *handle, OK);
}
int nvmlDeviceGetName(int *handle, char *name, unsigned length) {
  BEGIN("Name", handle);
  snprintf(name, length, *handle < CARDS ? "Fake Card" : "Fake Card MIG 1g.5gb");
  return OK;
}
int nvmlDeviceGetUUID(int *handle, char *uuid, unsigned length) {
  BEGIN("UUID", handle);
  snprintf(uuid, length, "%s-%d", *handle < CARDS ? "GPU" : "MIG", *handle);
  return OK;
}

struct utilisation { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(int *handle, struct utilisation *rates) {
  BEGIN("UtilizationRates", handle);
  rates->gpu = (unsigned)get("util", handle, 40 + 10 * (u64)*handle);
  rates->memory = (unsigned)get("mem-util", handle, 7);
  return OK;
}

struct memory { u64 total, free, used; };
struct memory_v2 { unsigned version; u64 total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(int *handle, struct memory_v2 *memory) {
  BEGIN("MemoryInfo_v2", handle);
  if (memory->version != (sizeof *memory | 2 << 24)) return INVALID;
  memory->total = 8000, memory->free = 6900;
  memory->reserved = get("reserved", handle, 100), memory->used = get("used", handle, 1000);
  return OK;
}
int nvmlDeviceGetMemoryInfo(int *handle, struct memory *memory) {
  BEGIN("MemoryInfo", handle);
  memory->total = 8000, memory->free = 6900, memory->used = 1100;
  return OK;
}

int nvmlDeviceGetPowerUsage(int *handle, unsigned *milliwatts) {
  BEGIN("PowerUsage", handle);
  *milliwatts = (unsigned)get("power-mw", handle, 50250);
  return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(int *handle, u64 *millijoules) {
  BEGIN("TotalEnergyConsumption", handle);
  *millijoules = get("energy-mj", handle, 7000000);
  return OK;
}

union value { double d; unsigned ui; u64 ull; };
struct field {
  unsigned id, scope;
  long long timestamp, latency_us;
  unsigned type;
  int returned;
  union value value;
};
int nvmlDeviceGetFieldValues(int *handle, int count, struct field *fields) {
  BEGIN("FieldValues", handle);
  for (int i = 0; i < count; i++) {
    fields[i].type = UNSIGNED_INT;
    fields[i].value.ui = (unsigned)get("power-instant-mw", handle, 61500);
    /* The call succeeds though a field fails. */
    fields[i].returned = (int)get("fail-field", handle, OK);
    if (fields[i].id != POWER_INSTANT || fields[i].scope) fields[i].returned = INVALID;
  }
  return OK;
}

int nvmlDeviceGetClockInfo(int *handle, unsigned kind, unsigned *mhz) {
  BEGIN("ClockInfo", handle);
  *mhz = kind == 1 ? (unsigned)get("sm-mhz", handle, 1400) : (unsigned)get("mem-mhz", handle, 5000);
  return kind == 1 || kind == 2 ? OK : INVALID;
}
int nvmlDeviceGetCurrentClocksEventReasons(int *handle, u64 *mask) {
  BEGIN("CurrentClocksEventReasons", handle);
  *mask = get("throttle", handle, 1);
  return OK;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(int *handle, u64 *mask) {
  BEGIN("CurrentClocksThrottleReasons", handle);
  *mask = get("throttle", handle, 2);
  return OK;
}

struct temperature { unsigned version, sensor; int celsius; };
int nvmlDeviceGetTemperatureV(int *handle, struct temperature *temperature) {
  BEGIN("TemperatureV", handle);
  if (temperature->version != (sizeof *temperature | 1 << 24) || temperature->sensor) return INVALID;
  temperature->celsius = (int)get("temp", handle, 60 + (u64)*handle);
  return OK;
}
int nvmlDeviceGetTemperature(int *handle, unsigned sensor, unsigned *celsius) {
  BEGIN("Temperature", handle);
  *celsius = (unsigned)get("temp", handle, 40);
  return sensor ? INVALID : OK;
}
int nvmlDeviceGetPcieThroughput(int *handle, unsigned counter, unsigned *kilobytes_per_s) {
  BEGIN("PcieThroughput", handle);
  usleep(20000);
  *kilobytes_per_s = (unsigned)(counter ? get("pcie-rx", handle, 300) : get("pcie-tx", handle, 200));
  return OK;
}

struct process { unsigned pid; u64 used; unsigned instance, compute_instance; };
/* Keys KIND-pid-N and KIND-used-N; -1 as used is "not available". */
static int processes(const char *kind, int *handle, unsigned *count, struct process *found) {
  unsigned room = *count;
  char key[80];
  u64 pid;
  for (*count = 0;; (*count)++) {
    snprintf(key, sizeof key, "%s-pid-%u", kind, *count + 1);
    if (!look_up(key, *handle, &pid)) break;
    snprintf(key, sizeof key, "%s-used-%u", kind, *count + 1);
    if (found && *count < room)
      found[*count] = (struct process){(unsigned)pid, get(key, handle, 300), -1U, -1U};
  }
  return *count > room ? TOO_SMALL : OK;
}
#define PROCESSES(call, kind) \
  int nvmlDeviceGet##call(int *handle, unsigned *count, struct process *found) { \
    BEGIN(#call, handle); \
    return processes(kind, handle, count, found); \
  }
PROCESSES(ComputeRunningProcesses_v3, "compute")
PROCESSES(ComputeRunningProcesses_v2, "compute")
PROCESSES(GraphicsRunningProcesses_v3, "graphics")
PROCESSES(GraphicsRunningProcesses_v2, "graphics")

struct sample { u64 time_us; union value value; };
/* sample-from, sample-to and sample-step, in microseconds: the buffer; each value is its number. */
int nvmlDeviceGetSamples(int *handle, unsigned kind, u64 after_us, unsigned *type, unsigned *count,
                         struct sample *samples) {
  BEGIN("Samples", handle);
  if (kind != 1) return INVALID;
  u64 from = get("sample-from", handle, 0), to = get("sample-to", handle, 0);
  u64 step = get("sample-step", handle, 200000);
  unsigned room = *count;
  *type = UNSIGNED_INT, *count = 0;
  for (u64 at = from; from && at <= to; at += step)
    if (at > after_us) {
      if (samples && *count < room) samples[*count] = (struct sample){at, {.ui = (unsigned)((at - from) / step)}};
      (*count)++;
    }
  return *count ? OK : NOT_FOUND;
}

int nvmlDeviceGetMigMode(int *handle, unsigned *current, unsigned *pending) {
  BEGIN("MigMode", handle);
  *current = *pending = (unsigned)get("mig", handle, 0);
  return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(int *handle, unsigned *count) {
  BEGIN("MaxMigDeviceCount", handle);
  *count = INSTANCES;
  return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(int *handle, unsigned index, int **instance) {
  BEGIN("MigDeviceHandleByIndex", handle);
  *instance = &handles[CARDS + index];
  return index % 2 ? NOT_FOUND : OK; /* holes */
}
