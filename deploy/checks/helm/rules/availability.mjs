// How many pods there are, where, and how they come and go.
import { labelsOf, secondsOf, selects, selectsService } from './release.mjs';

const zone = 'topology.kubernetes.io/zone';
const node = 'kubernetes.io/hostname';

const spreadOver = (release, key) => release.deployment.spec.template.spec.topologySpreadConstraints.find(({ topologyKey }) => topologyKey === key);

export default {
  'a rollout takes no pod away before another is ready, and a pod has the time to end its calls': {
    *wrong(release) {
      const { strategy, minReadySeconds, replicas, template } = release.deployment.spec;
      const { maxUnavailable, maxSurge } = strategy.rollingUpdate;
      if (strategy.type !== 'RollingUpdate' || maxUnavailable !== 0 || maxSurge !== 1 || !(minReadySeconds > 0)) {
        yield 'the rollout leaves fewer pods than there were';
      }

      if (release.all('HorizontalPodAutoscaler').length === 0 ? !(replicas >= 2) : replicas !== undefined) {
        yield 'fewer than two replicas, or a number that the autoscaler would be overruled by';
      }

      const drain = secondsOf(release.settings.OtpAuth__DrainDelay);
      if (!(drain >= 5) || template.spec.terminationGracePeriodSeconds < drain + 20) {
        yield 'a pod that goes is killed before its calls have ended';
      }

      if (Object.keys(release.service.lifecycle ?? {}).length > 0) {
        yield 'the service drains by itself: a preStop would only take of its time';
      }
    },
    broken: [
      release => { release.deployment.spec.strategy.rollingUpdate.maxUnavailable = 1; },
      release => { release.deployment.spec.minReadySeconds = 0; },
      release => { release.deployment.spec.replicas = 1; },
      release => { release.deployment.spec.template.spec.terminationGracePeriodSeconds = 15; },
      release => { release.settings.OtpAuth__DrainDelay = '00:00:00'; },
      release => { release.service.lifecycle = { preStop: { exec: { command: ['sleep', '5'] } } }; },
    ],
  },

  'a drain of nodes takes one pod at a time': {
    *wrong(release) {
      const budget = release.one('PodDisruptionBudget');
      if (budget?.spec.maxUnavailable !== 1 || budget.spec.minAvailable !== undefined || budget.spec.unhealthyPodEvictionPolicy !== 'AlwaysAllow') {
        yield 'there is no budget of one pod';
      } else if (!selectsService(release, budget.spec.selector.matchLabels)) {
        yield 'the budget is not for the service\'s pods';
      }
    },
    broken: [
      release => { release.one('PodDisruptionBudget').spec.maxUnavailable = 0; },
      release => { release.one('PodDisruptionBudget').spec.selector.matchLabels['app.kubernetes.io/component'] = 'management'; },
      release => { release.manifests = release.manifests.filter(manifest => manifest.kind !== 'PodDisruptionBudget'); },
    ],
  },

  'pods are spread over zones and nodes': {
    *wrong(release) {
      for (const key of [zone, node]) {
        const spread = spreadOver(release, key);
        if (spread?.maxSkew !== 1 || spread.nodeTaintsPolicy !== 'Honor' || !selects(spread.labelSelector.matchLabels, labelsOf(release.deployment))) {
          yield `not over ${key}`;
        }
      }

      if (spreadOver(release, node)?.whenUnsatisfiable !== 'DoNotSchedule') {
        yield 'two pods may share a node';
      }
    },
    broken: [
      release => { release.deployment.spec.template.spec.topologySpreadConstraints.pop(); },
      release => { spreadOver(release, zone).labelSelector.matchLabels.other = 'a'; },
      release => { spreadOver(release, node).whenUnsatisfiable = 'ScheduleAnyway'; },
    ],
  },

  'autoscaling is of the Deployment, and of two pods at least': {
    *wrong(release) {
      for (const { apiVersion, spec } of release.all('HorizontalPodAutoscaler')) {
        const { kind, name } = spec.scaleTargetRef;
        if (apiVersion !== 'autoscaling/v2' || kind !== 'Deployment' || name !== release.deployment.metadata.name) {
          yield `it is of ${kind} ${name}`;
        }

        if (!(spec.minReplicas >= 2) || !(spec.maxReplicas >= spec.minReplicas)) {
          yield `from ${spec.minReplicas} to ${spec.maxReplicas}`;
        }

        if (!spec.metrics.some(metric => metric.resource?.name === 'cpu')) {
          yield 'it does not go by the CPU';
        }
      }

      if (release.set === 'everything' && !release.all('HorizontalPodAutoscaler')[0]?.spec.metrics.some(metric => metric.type === 'Pods')) {
        yield 'there is none, or none with a measure of its own';
      }
    },
    broken: [
      release => { release.one('HorizontalPodAutoscaler').spec.scaleTargetRef.name = 'other'; },
      release => { release.one('HorizontalPodAutoscaler').spec.minReplicas = 1; },
      release => { release.one('HorizontalPodAutoscaler').spec.metrics.shift(); },
      release => { release.one('HorizontalPodAutoscaler').spec.metrics.pop(); },
    ],
  },
};
