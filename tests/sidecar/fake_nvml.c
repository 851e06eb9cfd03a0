/* A stand-in for libnvidia-ml.so.1: two cards, values fixed, faults chosen by FAKE_NVML. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, FUNCTION_NOT_FOUND = 13, DRIVER_NOT_LOADED = 9, LOST = 15 };
static int cards[2] = {0, 1};
static int power_calls;

static int is(const char *name) {
  const char *chosen = getenv("FAKE_NVML");
  return chosen && !strcmp(chosen, name);
}

int nvmlInitWithFlags(unsigned flags) {
  if (is("hang-init")) sleep(60);
  return is("no-driver") ? DRIVER_NOT_LOADED : OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "fault"; }
int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = is("no-card") ? 0 : 2;
  return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  *handle = &cards[index];
  return OK;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
  strncpy(name, "Fake Card", length);
  return OK;
}
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) {
  if (is("lost")) return LOST;
  rates[0] = 40 + 10 * *(int *)handle;
  rates[1] = 1;
  return OK;
}
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *memory) {
  memory[0] = 8000, memory[1] = 6900, memory[2] = 1100;
  return is("lost") ? LOST : OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, unsigned long long *memory) {
  if (is("old-driver")) return FUNCTION_NOT_FOUND;
  memory[1] = 8000, memory[2] = 100, memory[3] = 6900, memory[4] = 1000;
  return is("lost") ? LOST : OK;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
  if (is("no-power") && *(int *)handle == 1) return NOT_SUPPORTED;
  if (is("hang") && ++power_calls > 10) sleep(60);
  *milliwatts = 50250;
  return is("lost") ? LOST : OK;
}
